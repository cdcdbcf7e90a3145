"""The kinds of stream, one module each; `streamer.data.catalogue` lists them."""

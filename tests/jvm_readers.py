"""Spark and avro-tools: fetched once into the cache of `scripts/kafka`, pinned by hashes.

Spark takes some 450 MB, so it has an environment of its own, which only tests with the marker
`full` make. Where one of them cannot be had the test is skipped, and fails when CI=true.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import venv
from pathlib import Path
from typing import Any, NoReturn

import pytest

from scripts.kafka_tool.artifacts import cache_directory, install, locked
from scripts.kafka_tool.errors import KafkaToolError
from tests.streaming import ROOT
from tests.tools import required

_LOCK = Path(__file__).with_name("jars.toml")
_PINS = (ROOT / "requirements-build.txt", ROOT / "requirements-spark.txt")
_RUN_SECONDS = 600  # Spark's start takes ten seconds, and a minute on a busy machine
Record = dict[str, Any]


def avro_tools(*arguments: str | Path) -> str:
    """Run a command of avro-tools and return what it prints."""
    java = required("java", "default-jre-headless")
    options = ["-Xmx512m", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]
    return _run([java, *options, "-jar", _jar("avro-tools"), *arguments], encoding="utf-8")


def spark_submit(program: str, *arguments: str | Path, directory: Path) -> str:
    """Run a program in Python by Spark's own command, with spark-avro, and return what it prints.

    Whatever it makes is in the directory. It listens on loopback only.
    """
    file = directory / "program.py"
    file.write_text(program)
    environment = _spark_environment()
    command: list[str | Path] = [environment / "bin" / "spark-submit", "--master", "local[1]"]
    command += ["--jars", _jar("spark-avro"), "--driver-memory", "1g"]
    command += ["--conf", "spark.ui.enabled=false", "--conf", f"spark.local.dir={directory}"]
    return _run(
        [*command, file, *arguments],
        cwd=str(directory),
        env={
            **os.environ,
            "JAVA_HOME": str(Path(required("java", "default-jre-headless")).resolve().parents[1]),
            "PYSPARK_PYTHON": str(environment / "bin" / "python"),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "TZ": "UTC",  # of the naive times that its Python hands out
        },
    )


_ROWS = """
import json, pickle, sys
from pyspark.sql import SparkSession
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.functions import expr

spark = SparkSession.builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
what, output, *given = sys.argv[1:]
found = []
for one in given:
    if what == "messages":
        values, cut, schema = json.load(open(one))
        rows = spark.createDataFrame([(bytearray.fromhex(value),) for value in values], ["value"])
        whole = from_avro(expr(f"substring(value, {cut + 1})"), json.dumps(schema))
        rows = rows.select(whole.alias("record")).select("record.*")
    else:
        files = spark.read.format(what)
        rows = files.option("pathGlobFilter", f"*.{what}").load(one)
    found.append([row.asDict(recursive=True) for row in rows.collect()])
with open(output, "wb") as file:
    pickle.dump(found, file)
"""


def spark_rows(what: str, given: list[Path], directory: Path) -> list[list[Record]]:
    """Return the rows of each directory of `avro` or `parquet` files, or file of `messages`."""
    output = directory / "rows.pickle"
    spark_submit(_ROWS, what, output, *given, directory=directory)
    rows: list[list[Record]] = pickle.loads(output.read_bytes())
    return rows


def spark_messages(
    topics: list[tuple[list[bytes], dict[str, Any]]], cut: int, directory: Path
) -> list[list[Record]]:
    """Return the records of each topic's messages and schema, by Spark's from_avro.

    Without so many bytes before each.
    """
    files = [directory / f"{number}.messages" for number in range(len(topics))]
    for file, (values, schema) in zip(files, topics, strict=True):
        file.write_text(json.dumps([[value.hex() for value in values], cut, schema]))
    return spark_rows("messages", files, directory)


def _jar(component: str) -> Path:
    """Return a jar that stands for itself in the lock."""
    try:
        artifacts = locked(component, _LOCK)
        return install(component, artifacts, cache_directory()) / artifacts[0].file_name
    except KafkaToolError as error:
        _not_here(f"{component}: {error}")


def _spark_environment() -> Path:
    """Return Spark's environment; it appears by one stamp when it is complete."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in _PINS)).hexdigest()[:12]
    target = cache_directory() / f"spark-{digest}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test of another checkout waits
        if not (target / "complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            venv.create(target, with_pip=True)
            for pins in _PINS:  # Spark is a source archive: setuptools first, pinned as well
                command = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet"]
                command += ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--no-compile"]
                command += ["--disable-pip-version-check", "--require-hashes", "-r", str(pins)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    _not_here(f"Spark cannot be installed: {done.stderr[-1000:]}")
            (target / "complete").touch()
    return target


def _not_here(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _run(command: list[str | Path], **more: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_RUN_SECONDS, **more
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout

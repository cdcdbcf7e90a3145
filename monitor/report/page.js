"use strict";
// Draws the charts of the page in the colours that the reader's system asks for.
const { figures, templates } = JSON.parse(document.getElementById("charts-data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const touch = matchMedia("(pointer: coarse)").matches; // there a finger scrolls the page
const template = () => templates[dark.matches ? "dark" : "light"];

for (const [id, { data, layout }] of Object.entries(figures)) {
  const shown = { ...layout, template: template(), dragmode: touch ? false : "zoom" };
  const config = { responsive: true, displaylogo: false };
  Plotly.newPlot(id, data, shown, { ...config, displayModeBar: touch ? false : "hover" });
}
dark.addEventListener("change", () => {
  for (const id of Object.keys(figures)) Plotly.relayout(id, { template: template() });
});

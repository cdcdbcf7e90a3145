"use strict";
// Draws the charts of the page in the colours that the reader's system asks for.
const { figures, templates } = JSON.parse(document.getElementById("charts-data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const touch = matchMedia("(pointer: coarse)").matches; // there a finger scrolls the page
const template = () => templates[dark.matches ? "dark" : "light"];

for (const [id, { data, layout }] of Object.entries(figures)) {
  const shown = { ...layout, template: template(), dragmode: touch ? false : "zoom" };
  Plotly.newPlot(id, data, shown, {
    responsive: true,
    displayModeBar: touch ? false : "hover",
    displaylogo: false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  });
}
dark.addEventListener("change", () => {
  for (const id of Object.keys(figures)) Plotly.relayout(id, { template: template() });
});
for (const button of document.querySelectorAll("button[data-chart]")) {
  const { chart, range } = button.dataset;
  button.addEventListener("click", () => {
    Plotly.relayout(chart, { "yaxis.range": JSON.parse(range) });
    for (const one of document.querySelectorAll(`button[data-chart="${chart}"]`)) {
      one.setAttribute("aria-pressed", String(one === button));
    }
  });
}

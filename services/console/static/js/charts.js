// Draws the rates of the last quarter of an hour, from the data that the page contains.
"use strict";

(() => {
  const colours = ["--info", "--accent", "--ok"];
  const charts = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // The tokens are written with light-dark(), which a canvas does not understand: an element resolves them.
  const resolved = (name) => {
    const probe = document.createElement("span");
    probe.className = `probe ${name.slice(2)}`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found || colour(name);
  };

  const draw = () => {
    for (const element of document.querySelectorAll(".chart[data-source]")) {
      const data = JSON.parse(document.getElementById(element.dataset.source)?.dataset.series || "[[]]");
      if (data[0].length < 2) {
        if (!charts.has(element)) element.textContent = element.dataset.empty;
        continue;
      }
      const known = charts.get(element);
      if (known) {
        known.setData(data);
        continue;
      }
      element.textContent = "";
      const clock = (at) => new Date(at * 1000).toLocaleTimeString("sv-SE", { hour: "2-digit", minute: "2-digit" });
      const minutes = (_, times) => times.map(clock);
      const axis = { stroke: resolved("--text-soft"), grid: { stroke: resolved("--line"), width: 1 }, ticks: { show: false } };
      const series = element.dataset.labels.split("|").map((label, index) => ({
        label,
        stroke: resolved(colours[index]),
        width: 2,
        dash: index === 0 ? [5, 4] : undefined,
        points: { show: false },
        value: (_, value) => (value == null ? "–" : `${value.toFixed(1)} /s`),
      }));
      const size = () => ({ width: element.clientWidth - 32, height: 210 });
      const chart = new uPlot(
        { ...size(), cursor: { drag: { x: false, y: false } }, scales: { x: { range: (_, low, high) => [high - 900, high] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.15)] } }, axes: [{ ...axis, values: minutes, space: 90 }, { ...axis, size: 46 }], series: [{ label: element.dataset.time, value: (_, at) => (at == null ? "–" : clock(at)) }, ...series] },
        data,
        element,
      );
      charts.set(element, chart);
      new ResizeObserver(() => chart.setSize(size())).observe(element);
    }
  };
  document.addEventListener("console:refreshed", draw);
  draw();
})();

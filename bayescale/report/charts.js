"use strict";
/* Pictures: one look for all of them, in the page's own colours, light or dark. */
const charts = (() => {
  const drawn = new Map();
  // Okabe & Ito 2008, seen on light paper and on dark
  const GROUPS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  function faint(name, alpha) {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour(name).slice(i, i + 2), 16));
    return `rgba(${r},${g},${b},${alpha})`;
  }

  function axis(title, settings = {}) {
    const log = settings.type === "log";
    return {
      title: { text: title, font: { size: 12.5, color: colour("soft") }, standoff: 8 },
      gridcolor: colour("rule"),
      linecolor: colour("rule"),
      zeroline: false,
      fixedrange: true,
      automargin: true,
      ticks: "outside",
      ticklen: 4,
      tickcolor: colour("rule"),
      tickfont: { size: 11.5, color: colour("soft") },
      ...(log ? { dtick: undefined, exponentformat: "power", minor: { showgrid: false } } : { exponentformat: "none" }),
      ...settings,
    };
  }

  function layout(x, y, more = {}) {
    return {
      xaxis: x,
      yaxis: y,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 12 },
      margin: { l: 56, r: 12, t: 30, b: 44 },
      dragmode: false,
      hovermode: "closest",
      hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("rule"), font: { color: colour("ink"), size: 12 } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12, color: colour("soft") } },
      ...more,
    };
  }

  /* Ticks of a log axis over [low, high]: decades, or round numbers where it spans less than one. */
  function ticks(low, high) {
    const [a, b] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    if (b > a) {
      const step = Math.ceil((b - a + 1) / 7);
      return Array.from({ length: Math.floor((b - a) / step) + 1 }, (_, i) => Number(`1e${a + i * step}`));
    }
    if (high / low > 4) {
      const all = [1, 1.5, 2, 3, 4, 6].flatMap((m) => [a - 1, a, b, b + 1].map((e) => Number(`${m}e${e}`)));
      return [...new Set(all)].filter((v) => v >= low && v <= high).sort((x, y) => x - y);
    }
    const raw = (high - low) / 5;
    const size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * size).find((v) => v >= raw);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) =>
      Number(((first + i) * step).toPrecision(6)),
    );
  }

  function logAxis(title, name, low, high) {
    const tickvals = ticks(low, high);
    const range = [Math.log10(low), Math.log10(high)];
    return axis(title, { type: "log", range, tickvals, ticktext: tickvals.map((v) => words.tick(name, v)) });
  }

  /* Padded range of values on a log axis. */
  function span(values, pad = 0.08) {
    const logs = values.filter((v) => v > 0 && Number.isFinite(v)).map(Math.log10);
    const [low, high] = [Math.min(...logs), Math.max(...logs)];
    const more = Math.max((high - low) * pad, 0.002);
    return [10 ** (low - more), 10 ** (high + more)];
  }

  const title = (name, units) => (units[name] ? `${name}, ${units[name]}` : name);
  const line = (x, y, name, style = {}, more = {}) => ({
    x,
    y,
    name,
    mode: "lines",
    line: { width: 2, ...style },
    hoverinfo: "skip",
    ...more,
  });
  function band(x, low, high, name, colourName, alpha, shown = true) {
    return {
      x: [...x, ...[...x].reverse()],
      y: [...high, ...[...low].reverse()],
      name,
      fill: "toself",
      mode: "lines",
      fillcolor: faint(colourName, alpha),
      line: { width: 0 },
      hoverinfo: "skip",
      showlegend: shown,
    };
  }
  function points(x, y, text, name, more = {}) {
    const marker = {
      size: 6.5,
      color: colour("ink"),
      opacity: x.length > 300 ? 0.45 : 0.8,
      line: { width: 1, color: colour("paper") },
    };
    return { x, y, text, name, mode: "markers", marker, hovertemplate: "%{text}<extra></extra>", ...more };
  }

  /* Draw, and draw again when the colours or the width change: make() gives {data, layout}. */
  function draw(id, make) {
    const place = document.getElementById(id);
    if (!place) return;
    drawn.set(id, make);
    const { data, layout } = make();
    Plotly.react(place, data, layout, CONFIG);
  }
  function redraw() {
    for (const [id, make] of drawn) draw(id, make);
  }

  /* Runs in the colours of their groups. */
  function grouped(group, x, y, text) {
    const names = [...new Set(group)];
    return names.map((name, i) => {
      const mine = group.map((of, j) => [of, j]).filter(([of]) => of === name);
      const pick = (values) => mine.map(([, j]) => values[j]);
      const color = names.length > 1 ? GROUPS[i % GROUPS.length] : colour("accent");
      return points(pick(x), pick(y), pick(text), escaped(name) || "runs", {
        marker: { size: 7, color, opacity: group.length > 300 ? 0.4 : 0.75 },
      });
    });
  }

  function fitted({ runs, metric, units }) {
    const { observed, law, row } = runs;
    const [low, high] = span([...observed, ...law]);
    const text = observed.map(
      (y, i) => `row ${escaped(row[i])}<br>observed ${words.plain(y)}<br>law ${words.plain(law[i])}`,
    );
    return {
      data: [
        line([low, high], [low, high], "agreement", { color: colour("soft"), width: 1, dash: "dot" }),
        ...grouped(runs.group, law, observed, text),
      ],
      layout: layout(
        logAxis(`${title(metric, units)}: the law`, metric, low, high),
        logAxis("observed", metric, low, high),
        { showlegend: new Set(runs.group).size > 1 },
      ),
    };
  }

  function residuals({ runs, across, units, scatter }) {
    const [low, high] = span(runs.across);
    const text = runs.residual.map(
      (r, i) => `row ${escaped(runs.row[i])}<br>${words.plain(Math.abs(r))} % ${r < 0 ? "below" : "above"} the law`,
    );
    const most = 1.15 * Math.max(...runs.residual.map(Math.abs), ...scatter.map(Math.abs));
    return {
      data: [
        band([low, high], [scatter[0], scatter[0]], [scatter[1], scatter[1]], "90 % of new runs", "accent", 0.13),
        ...grouped(runs.group, runs.across, runs.residual, text),
      ],
      layout: layout(
        logAxis(title(across, units), across, low, high),
        axis("observed against law, %", { range: [-most, most], zeroline: true, zerolinecolor: colour("soft") }),
      ),
    };
  }

  function constant({ x, prior, posterior, log }) {
    const few = { nticks: 4, showgrid: false };
    const across = log
      ? axis("", { type: "log", ...few, tickvals: ticks(x[0], x[x.length - 1]).slice(0, 8) })
      : axis("", few);
    if (log && across.tickvals.length > 4) across.tickvals = across.tickvals.filter((_, i) => i % 2 === 0);
    if (log) across.ticktext = across.tickvals.map((v) => (v >= 1e4 || v < 1e-2 ? words.power(v) : String(v)));
    return {
      data: [
        line(x, prior, "prior", { color: colour("soft"), width: 1.4, dash: "dot" }),
        line(
          x,
          posterior,
          "posterior",
          { color: colour("accent"), width: 1.8 },
          { fill: "tozeroy", fillcolor: faint("accent", 0.16) },
        ),
      ],
      layout: layout(across, axis("", { visible: false, range: [0, 1.08] }), {
        showlegend: false,
        margin: { l: 4, r: 10, t: 4, b: 26 },
      }),
    };
  }

  function weights({ laws, evidence, stacking, holdout }) {
    const bar = (x, name, c) => ({
      type: "bar",
      orientation: "h",
      y: [...laws].reverse().map(escaped),
      x: [...x].reverse(),
      name,
      marker: { color: colour(c) },
      hovertemplate: "%{x:.3f}<extra></extra>",
    });
    const data = [
      bar(holdout, "holdout", "third"),
      bar(stacking, "stacking", "second"),
      bar(evidence, "evidence", "accent"),
    ];
    return {
      data,
      layout: layout(axis("weight", { range: [0, 1.02] }), axis("", { showgrid: false, ticks: "" }), {
        barmode: "group",
        bargap: 0.35,
        bargroupgap: 0.12,
        legend: { ...layout().legend, traceorder: "reversed" },
      }),
    };
  }

  /* Plotly reads a little HTML in texts; what comes from data is shown as it is. */
  const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function start(pictures) {
    draw("chart-fitted", () => fitted(pictures));
    draw("chart-residuals", () => residuals(pictures));
    if (pictures.weights) {
      document.getElementById("chart-weights").style.height = `${8 + 4.2 * pictures.weights.laws.length}rem`;
      draw("chart-weights", () => weights(pictures.weights));
    }
    const grid = document.getElementById("chart-constants");
    pictures.constants.forEach((entry, i) => {
      const figure = document.createElement("figure");
      const name = document.createElement("h4");
      const place = document.createElement("div");
      name.textContent = entry.name;
      Object.assign(place, { id: `chart-constant-${i}`, className: "chart" });
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", `Prior and posterior of ${entry.name}`);
      figure.append(name, place);
      grid.append(figure);
      draw(place.id, () => constant(entry));
    });
    for (const [event, printing] of [
      ["beforeprint", true],
      ["afterprint", false],
    ]) {
      window.addEventListener(event, () => {
        document.documentElement.classList.toggle("printing", printing);
        redraw();
        for (const id of drawn.keys()) Plotly.Plots.resize(document.getElementById(id));
      });
    }
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  return { start, draw, colour, faint, layout, axis, logAxis, span, line, band, points, title, escaped };
})();

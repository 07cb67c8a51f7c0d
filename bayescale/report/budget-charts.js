"use strict";
/* The planner's pictures for laws of N and D. */
const budgetCharts = (() => {
  const t = planner.tools;
  let frontier = { key: "", rows: [] };

  /* Places for the pictures. */
  function places() {
    for (const [id, parent, caption] of [
      ["plan-sizes", "plan-beside", "Loss of models of every size at this budget: the mean curve and its interval."],
      [
        "plan-loss",
        "planner-charts",
        "Loss at the optimum against compute: the mean curve with its interval, and that of a new run.",
      ],
      ["plan-N", "planner-charts", "Compute-optimal parameters, with the runs."],
      ["plan-D", "planner-charts", "Compute-optimal training tokens, with the runs."],
    ]) {
      const figure = document.createElement("figure");
      figure.innerHTML = `<div class="chart" id="${id}" role="img"></div><figcaption></figcaption>`;
      figure.firstChild.setAttribute("aria-label", caption);
      figure.lastChild.textContent = caption;
      t.$(parent).append(figure);
    }
  }

  /* Loss against model size at this budget. */
  function sizes(terms, best) {
    const { content, state: s } = t;
    const few = t.chosen(t.slim);
    const middle = t.estimate(best.N);
    const top = Math.min(bayescale.affords(s.C, terms), terms.maxN);
    const low = Math.max(Math.min(middle.low, Number.isNaN(s.N) ? Infinity : s.N) / 8, 1);
    const high = Math.min(Math.max(middle.high, Number.isNaN(s.N) ? 0 : s.N) * 8, top * 0.98);
    if (!(high > 1.05 * low)) return;
    const grid = Array.from({ length: 48 }, (_, i) => low * (high / low) ** (i / 47)).filter(
      (N) => bayescale.tokens(s.C, N, terms) > 0,
    );
    const found = grid.map((N) =>
      t.estimate(bayescale.predict(few, { ...s.fixed, N, D: bayescale.tokens(s.C, N, terms) }).mean),
    );
    const near = t.runs.C.map((C, i) => [C, i])
      .filter(([C]) => Math.abs(Math.log10(C / s.C)) < 0.12)
      .map(([, i]) => i);
    const pick = (name) => near.map((i) => t.runs[name][i]);
    const loss = t.estimate(best.loss);
    const floor = Math.min(...found.map((e) => e.low), ...pick("loss"));
    const cap =
      loss.median +
      2.2 *
        Math.max(
          found[0].median - loss.median,
          found[found.length - 1].median - loss.median,
          0.02,
          ...pick("loss").map((y) => (y - loss.median) / 2.2),
        );
    charts.draw("plan-sizes", () => {
      const data = [
        charts.band(
          grid,
          found.map((e) => e.low),
          found.map((e) => e.high),
          "interval",
          "accent",
          0.18,
          false,
        ),
        charts.line(
          grid,
          found.map((e) => e.median),
          "mean curve",
          { color: charts.colour("accent") },
        ),
        {
          x: [middle.median],
          y: [loss.median],
          name: "optimum",
          mode: "markers",
          hoverinfo: "skip",
          marker: { size: 11, symbol: "diamond", color: charts.colour("second") },
          error_x: {
            type: "data",
            symmetric: false,
            array: [middle.high - middle.median],
            arrayminus: [middle.median - middle.low],
            color: charts.colour("second"),
            thickness: 1.5,
            width: 5,
          },
        },
      ];
      if (near.length) {
        const text = near.map(
          (i) => `row ${charts.escaped(t.runs.row[i])}<br>loss ${words.plain(t.runs.loss[i])}`,
        );
        data.push(charts.points(pick("N"), pick("loss"), text, "runs near this budget"));
      }
      if (!Number.isNaN(s.N) && s.N < top) {
        const y = t.estimate(
          bayescale.predict(few, { ...s.fixed, N: s.N, D: bayescale.tokens(s.C, s.N, terms) }).mean,
        ).median;
        data.push({
          x: [s.N],
          y: [y],
          name: "your N",
          mode: "markers",
          hoverinfo: "skip",
          marker: { size: 11, symbol: "x", color: charts.colour("third") },
        });
      }
      return {
        data,
        layout: charts.layout(
          charts.logAxis("parameters N", "N", low, high),
          charts.axis("loss, nats/token", { nticks: 6, range: [floor - 0.06 * (cap - floor), cap] }),
        ),
      };
    });
  }
  /* The frontier: what the best model is, against compute. Worked out again only where the terms or the law change. */
  function curves(terms) {
    const { content, state: s } = t;
    const few = t.chosen(t.slim);
    const [low, high] = [content.seen.C[0] / 3, Math.max(content.seen.C[1] * 1e4, s.C * 3)];
    const key = JSON.stringify([few.map((l) => l.name), s.group, terms, s.fixed, low, high]);
    if (frontier.key !== key) {
      const rows = [];
      for (let i = 0; i < 22; i++) {
        const C = low * (high / low) ** (i / 21);
        if (C <= terms.k + terms.serving) continue;
        const found = bayescale.allocate(few, s.fixed, C, terms);
        if (found.edges > 0) continue;
        rows.push({
          C,
          N: t.estimate(found.N),
          D: t.estimate(found.D),
          loss: t.estimate(found.loss),
          newRun: t.estimate(found.newRun),
        });
      }
      frontier = { key, rows, low, high };
    }
    const x = frontier.rows.map((r) => r.C);
    const part = (name, which) => frontier.rows.map((r) => r[name][which]);
    for (const [id, name, title] of [
      ["plan-loss", "loss", "loss, nats/token"],
      ["plan-N", "N", "parameters N"],
      ["plan-D", "D", "training tokens D"],
    ]) {
      charts.draw(id, () => {
        const runs = t.runs;
        const ends = name === "loss" ? "newRun" : name;
        const values = [...part(ends, "low"), ...part(ends, "high"), ...runs[name]];
        const [bottom, top] = charts.span(values, 0.05);
        const text = runs.row.map(
          (row, i) =>
            `row ${charts.escaped(row)}<br>${words.value("C", runs.C[i])} FLOPs<br>${words.value(name, runs[name][i])}`,
        );
        const data = [];
        for (const [end, shown] of [
          ["low", true],
          ["high", false],
        ]) {
          const style = { color: charts.colour("second"), width: 1.2, dash: "dot" };
          if (name === "loss") data.push(charts.line(x, part("newRun", end), "new run", style, { showlegend: shown }));
        }
        data.push(charts.band(x, part(name, "low"), part(name, "high"), "interval", "accent", 0.22, false));
        data.push(charts.line(x, part(name, "median"), "optimum", { color: charts.colour("accent") }));
        data.push(
          charts.points(runs.C, runs[name], text, "runs", {
            marker: { size: 5, color: charts.colour("soft"), opacity: runs.C.length > 200 ? 0.35 : 0.7 },
          }),
        );
        return {
          data,
          layout: charts.layout(
            charts.logAxis("compute C, FLOPs", "C", low, high),
            charts.logAxis(title, name, bottom, top),
            {
              shapes: [
                {
                  type: "rect",
                  xref: "x",
                  yref: "paper",
                  x0: content.seen.C[1],
                  x1: high,
                  y0: 0,
                  y1: 1,
                  fillcolor: charts.faint("soft", 0.07),
                  line: { width: 0 },
                  layer: "below",
                },
                {
                  type: "line",
                  xref: "x",
                  yref: "paper",
                  x0: s.C,
                  x1: s.C,
                  y0: 0,
                  y1: 1,
                  line: { color: charts.colour("second"), width: 1.5 },
                },
              ],
              annotations: [
                {
                  xref: "x",
                  yref: "paper",
                  x: Math.log10(content.seen.C[1]),
                  y: 0.015,
                  xanchor: "left",
                  yanchor: "bottom",
                  text: " beyond the runs",
                  showarrow: false,
                  font: { size: 11, color: charts.colour("soft") },
                },
              ],
            },
          ),
        };
      });
    }
  }

  return { places, sizes, curves };
})();

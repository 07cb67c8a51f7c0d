"use strict";
/* Laws of other inputs: what the law gives at a point, and a new run there. */
const planPoint = (() => {
  const t = planner.tools;
  const POINTS = 60;

  function places() {
    const place = t.$("planner-charts");
    t.content.inputs.forEach((name, i) => {
      const figure = document.createElement("figure");
      const chart = document.createElement("div");
      const caption = document.createElement("figcaption");
      Object.assign(chart, { id: `plan-in-${i}`, className: "chart" });
      const others = t.content.inputs.filter((other) => other !== name);
      const metric = t.content.metric === "loss" ? "Loss" : t.content.metric;
      caption.textContent =
        `${metric} against ${name}` +
        (others.length
          ? `, with ${others.join(" and ")} as set above; the runs have values of their own.`
          : ": the mean curve with its interval, and that of a new run.");
      chart.setAttribute("role", "img");
      chart.setAttribute("aria-label", caption.textContent);
      figure.append(chart, caption);
      place.append(figure);
    });
  }

  function now() {
    const { content, state: s } = t;
    const found = bayescale.predict(t.chosen(t.all), s.fixed);
    const metric = content.metric === "loss" ? "Loss" : content.metric;
    const rows = [
      [`${metric}, mean curve`, "mean_curve", found.mean, content.metric],
      [`${metric}, a new run`, "new_run", found.newRun, content.metric],
    ];
    const where = content.inputs.map((name) => `${name} = ${words.value(name, s.fixed[name])}`).join(", ");
    if (!Number.isNaN(s.target)) {
      const share = (parts) => words.percent(bayescale.chance(parts, (x) => x <= s.target));
      rows.push([`Chance that a new run comes out at ${s.target} or less`, "chance_newRun", share(found.newRun)]);
      rows.push(["Chance that the mean curve does", "chance_loss", share(found.mean)]);
    }
    t.table("point", `At ${where}${t.within()}`, rows);
    const away = content.inputs
      .map((name) => [name, t.distance(s.fixed[name], content.seen[name])])
      .filter(([, d]) => d !== "within the runs");
    const far = away.length ? away.map(([name, d]) => `${name} is ${d}`).join(", ") : "this is within the runs";
    t.say(
      `At ${where}${t.within()} the mean curve is ${t.said(content.metric, found.mean)}, ` +
        `and a new run ${t.said(content.metric, found.newRun)}. ${far[0].toUpperCase()}${far.slice(1)}.`,
    );
    return curves;
  }

  function curves() {
    const { content, state: s } = t;
    const few = t.chosen(t.slim);
    content.inputs.forEach((name, i) => {
      const [least, most] = content.seen[name];
      const [low, high] = charts.span([least, most, s.fixed[name]], 0.12);
      const grid = Array.from({ length: POINTS }, (_, j) => low * (high / low) ** (j / (POINTS - 1)));
      const found = grid.map((x) => bayescale.predict(few, { ...s.fixed, [name]: x }));
      const [mean, fresh] = [found.map((f) => t.estimate(f.mean)), found.map((f) => t.estimate(f.newRun))];
      const part = (of, which) => of.map((e) => e[which]);
      const runs = t.runs;
      charts.draw(`plan-in-${i}`, () => {
        const [bottom, top] = charts.span(
          [...part(fresh, "low"), ...part(fresh, "high"), ...runs[content.metric]],
          0.05,
        );
        const text = runs.row.map(
          (row, j) =>
            `row ${charts.escaped(row)}<br>${charts.escaped(name)} ${words.value(name, runs[name][j])}<br>` +
            `${charts.escaped(content.metric)} ${words.value(content.metric, runs[content.metric][j])}`,
        );
        const at = t.estimate(bayescale.predict(few, s.fixed).mean);
        return {
          data: [
            ...["low", "high"].map((end) =>
              charts.line(
                grid,
                part(fresh, end),
                "a new run",
                { color: charts.colour("second"), width: 1.2, dash: "dot" },
                { showlegend: end === "low" },
              ),
            ),
            charts.band(grid, part(mean, "low"), part(mean, "high"), "interval", "accent", 0.22, false),
            charts.line(grid, part(mean, "median"), "mean curve", { color: charts.colour("accent") }),
            charts.points(runs[name], runs[content.metric], text, "runs", {
              marker: { size: 5.5, color: charts.colour("soft"), opacity: runs.row.length > 200 ? 0.35 : 0.75 },
            }),
            {
              x: [s.fixed[name]],
              y: [at.median],
              name: "here",
              mode: "markers",
              hoverinfo: "skip",
              marker: { size: 11, symbol: "diamond", color: charts.colour("second") },
            },
          ],
          layout: charts.layout(
            charts.logAxis(charts.title(charts.escaped(name), content.units), name, low, high),
            charts.logAxis(charts.title(charts.escaped(content.metric), content.units), content.metric, bottom, top),
            {
              shapes: [
                [low, least],
                [most, high],
              ].map(([x0, x1]) => ({
                type: "rect",
                xref: "x",
                yref: "paper",
                x0,
                x1,
                y0: 0,
                y1: 1,
                fillcolor: charts.faint("soft", 0.07),
                line: { width: 0 },
                layer: "below",
              })),
            },
          ),
        };
      });
    });
  }

  return { now, places };
})();

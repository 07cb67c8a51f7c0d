"use strict";
/* Laws of N and D: the optimum of a budget, a model in mind, a target, serving and limits. */
const planBudget = (() => {
  const t = planner.tools;

  function termsOf(s) {
    const limit = (x) => (Number.isNaN(x) ? Infinity : Math.max(x, 1));
    const serving = Number.isNaN(s.served) ? 0 : 2 * s.served;
    return { ...t.content.cost, serving, maxN: limit(s["max-N"]), maxD: limit(s["max-D"]) };
  }

  function now() {
    const { content, state: s } = t;
    const laws = t.chosen(t.all);
    const terms = termsOf(s);
    if (s.C <= terms.k + terms.serving) return refuse("This budget does not pay for serving so many tokens with any model.");
    const best = bayescale.allocate(laws, s.fixed, s.C, terms);
    if (best.edges > 0) {
      return refuse(
        `In ${words.percent(best.edges)} of the draws the law has no optimum at this budget: ` +
          "its loss falls all the way to one parameter or one token.",
      );
    }
    const free = terms.serving === 0 && terms.maxN === Infinity && terms.maxD === Infinity;
    const rows = [
      ["Parameters N", "N", best.N],
      ["Training tokens D", "D", best.D],
      ["Tokens per parameter", "ratio", best.ratio],
      ["Loss, mean curve (nats/token)", "loss", best.loss],
      ["Loss, a new run", "newRun", best.newRun, "loss"],
    ];
    if (!free) {
      const training = best.N.map((part, i) => ({
        weight: part.weight,
        values: part.values.map((N, j) => bayescale.training(N, best.D[i].values[j], terms)),
      }));
      rows.push(["Training, FLOPs", "training_flops", training, "C"]);
      if (terms.serving) {
        rows.push([
          "Serving, FLOPs",
          "inference_flops",
          best.N.map((p) => ({ ...p, values: p.values.map((N) => terms.serving * N) })),
          "C",
        ]);
      }
    }
    t.table("best", `Compute-optimal${t.within()} with ${words.power(s.C)} FLOPs`, rows);
    const held = content.inputs
      .filter((n) => n !== "N" && n !== "D")
      .map((n) => `${n} held at ${words.value(n, s.fixed[n])}, `)
      .join("");
    let text = `With ${words.power(s.C)} FLOPs${t.within()}, ${t.distance(s.C, content.seen.C, "run")}, ${held}`;
    text += `the optimum has ${t.said("N", best.N)} parameters trained on ${t.said("D", best.D)} tokens. `;
    text += `A new run there would reach a loss of ${t.said("loss", best.newRun)}.`;
    if (!Number.isNaN(s.target)) {
      const share = bayescale.chance(best.newRun, (x) => x <= s.target);
      text += ` The chance that it reaches ${s.target} or less is ${words.percent(share)}.`;
    }
    t.say(text);
    budgetCharts.sizes(terms, best);
    for (const id of ["mine", "goal"]) if (t.$(id)) t.$(id).classList.add("pending");
    if (Number.isNaN(s.N) && Number.isNaN(s.D)) t.drop("mine");
    if (Number.isNaN(s.target)) t.drop("goal");
    return () => slow(laws, terms, best);
  }

  function refuse(text) {
    for (const id of ["best", "mine", "goal"]) t.drop(id);
    t.say(text);
    return () => {};
  }

  function slow(laws, terms, best) {
    const s = t.state;
    if (!Number.isNaN(s.N) || !Number.isNaN(s.D)) mine(laws, terms, best);
    if (!Number.isNaN(s.target)) goal(laws, terms, best);
    budgetCharts.curves(terms);
  }

  /* The model in mind: with N alone, or D alone, the budget decides the other; with both, they are the budget. */
  function mine(laws, terms, best) {
    const s = t.state;
    const [hasN, hasD] = [!Number.isNaN(s.N), !Number.isNaN(s.D)];
    const N = hasN ? s.N : bayescale.parameters(s.C, s.D, terms);
    const D = hasD ? s.D : bayescale.tokens(s.C, N, terms);
    if (!(D > 0) || N > terms.maxN || D > terms.maxD) {
      const why = D > 0 ? "The model in mind is over the limits" : "The budget leaves nothing to train this model";
      t.table("mine", why, []);
      return;
    }
    const C = hasN && hasD ? bayescale.cost(N, D, terms) : s.C;
    const reference = hasN && hasD ? bayescale.allocate(laws, s.fixed, C, terms) : best;
    const found = bayescale.penalty(laws, s.fixed, N, D, C, terms, reference);
    const rows = [
      ["Loss, mean curve (nats/token)", "mine_loss", found.loss, "loss"],
      ["Loss, a new run", "mine_newRun", found.newRun, "loss"],
      ["Loss above the optimum's", "excess_loss", found.excess, "excess"],
      ["Compute over the least that reaches this loss", "compute_penalty", found.penalty, "penalty"],
    ];
    if (!Number.isNaN(s.target)) {
      const share = bayescale.chance(found.newRun, (x) => x <= s.target);
      rows.push([`Chance that a new run reaches ${s.target}`, "mine_chance", words.percent(share)]);
    }
    t.table(
      "mine",
      `Your model: ${words.count(N)} parameters on ${words.count(D)} tokens, ${words.power(C)} FLOPs`,
      rows,
    );
  }

  function goal(laws, terms, best) {
    const s = t.state;
    const { C, probability } = bayescale.needed(laws, s.fixed, s.target, terms, s.C);
    const rows = [
      [
        "Chance, a new run at the optimum",
        "chance_newRun",
        words.percent(bayescale.chance(best.newRun, (x) => x <= s.target)),
      ],
      [
        "Chance, mean curve at the optimum",
        "chance_loss",
        words.percent(bayescale.chance(best.loss, (x) => x <= s.target)),
      ],
      ["Share of draws that reach it with any compute", "probability", words.percent(probability)],
    ];
    if (probability > 0) rows.push(["Compute that it needs, in those draws (FLOPs)", "needed", C, "C"]);
    t.table("goal", `A loss of ${s.target} with ${words.power(s.C)} FLOPs`, rows);
    const row = t.$("goal").querySelector("[data-quantity=probability]");
    row.dataset.value = probability;
  }

  return { now };
})();

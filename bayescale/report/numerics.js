"use strict";
/* Posterior draws to estimates: the same searches and summaries as the Python API's, at every draw. */
const bayescale = (() => {
  const GOLDEN = (Math.sqrt(5) - 1) / 2;
  const FINE = { grid: 128, steps: 32 };
  const COARSE = { grid: 48, steps: 18 }; // enough for the loss, which is flat at its floor
  const LOG_C = [Math.log(1e6), Math.log(1e45)];

  /* Base64 of little-endian float64. */
  function numbers(text) {
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Float64Array(bytes.buffer);
  }

  /* A law with its draws in one of the groups: rows of constants, and the log of a new run over the law. */
  function posterior(entry, formula, group = 0) {
    const { draws, scatter } = entry.groups[group];
    const flat = numbers(draws);
    const width = flat.length / entry.count;
    const rows = [];
    for (let i = 0; i < entry.count; i++) rows.push(flat.subarray(i * width, (i + 1) * width));
    const { name, weight, inputs } = entry;
    return { name, weight, inputs, formula, rows, scatter: numbers(scatter) };
  }

  /* Every so many draws, for curves. */
  function thinned(law, most) {
    const step = Math.max(1, Math.ceil(law.rows.length / most));
    const kept = law.rows.map((_, i) => i).filter((i) => i % step === 0);
    return { ...law, rows: kept.map((i) => law.rows[i]), scatter: Float64Array.from(kept, (i) => law.scatter[i]) };
  }

  /* The loss as a function of constants, N and D, with the law's other inputs fixed. */
  function lossOf(law, fixed) {
    const inputs = law.inputs;
    const n = inputs.indexOf("N");
    const d = inputs.indexOf("D");
    const f = law.formula;
    if (inputs.length === 2) return n < d ? f : (k, N, D) => f(k, D, N);
    const x = inputs.map((name) => fixed[name]);
    return (k, N, D) => {
      x[n] = N;
      x[d] = D;
      return f(k, ...x);
    };
  }

  /* What training costs, k N^a D^b FLOPs: 6ND unless the table counts otherwise. */
  const training = (N, D, { k = 6, a = 1, b = 1 }) => k * N ** a * D ** b;
  const cost = (N, D, terms) => training(N, D, terms) + terms.serving * N;

  /* Tokens that a budget leaves for training N parameters, maxD at most. */
  function tokens(C, N, { k = 6, a = 1, b = 1, serving, maxD }) {
    const left = a === 1 && b === 1 ? (C / N - serving) / k : ((C - serving * N) / (k * N ** a)) ** (1 / b);
    return Math.min(left, maxD);
  }

  /* The largest model that a budget trains on one token, or an upper bound of it. */
  const affords = (C, { k = 6, a = 1, b = 1, serving }) => (a === 1 && b === 1 ? C / (k + serving) : (C / k) ** (1 / a));

  /* Parameters that a budget trains on D tokens: a closed form, or bisection where serving is paid, too. */
  function parameters(C, D, terms) {
    const { k = 6, a = 1, b = 1, serving } = terms;
    if (a === 1) return C / (k * D ** b + serving);
    let [low, high] = [0, Math.log(affords(C, terms))];
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (cost(Math.exp(middle), D, terms) < C) low = middle;
      else high = middle;
    }
    return Math.exp((low + high) / 2);
  }

  /* The least loss of a budget: a grid over log N brackets the lowest valley, golden section finds its floor. */
  function optimum(loss, k, C, terms, { grid, steps } = FINE) {
    const at = (u) => {
      const N = Math.exp(u);
      return loss(k, N, tokens(C, N, terms));
    };
    const affordable = Math.log(affords(C, terms));
    const top = Math.min(affordable, Math.log(terms.maxN));
    const width = top / (grid - 1);
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < grid; i++) {
      const value = at(i * width);
      if (value < least) [best, least] = [i, value];
    }
    const edge = best <= 0 || (best === grid - 1 && affordable <= Math.log(terms.maxN));
    let low = Math.max(best - 1, 0) * width;
    let high = Math.min(best + 1, grid - 1) * width;
    let left = high - GOLDEN * (high - low);
    let right = low + GOLDEN * (high - low);
    let [onLeft, onRight] = [at(left), at(right)];
    for (let i = 0; i < steps; i++) {
      if (onLeft < onRight) {
        [high, right, onRight] = [right, left, onLeft];
        left = high - GOLDEN * (high - low);
        onLeft = at(left);
      } else {
        [low, left, onLeft] = [left, right, onRight];
        right = low + GOLDEN * (high - low);
        onRight = at(right);
      }
    }
    const N = Math.exp((low + high) / 2);
    const D = tokens(C, N, terms);
    return { N, D, loss: loss(k, N, D), edge };
  }

  /* The least budget that reaches a loss, infinite where none does: Illinois' false position on log loss. */
  function leastCompute(loss, k, target, terms, guess) {
    const above = (u) => Math.log(optimum(loss, k, Math.exp(u), terms, COARSE).loss / target);
    let low = Math.min(Math.max(guess - 0.5, LOG_C[0]), LOG_C[1] - 1);
    let high = Math.min(low + 1, LOG_C[1]);
    let [f, g] = [above(low), above(high)];
    for (let reach = 2; g > 0 && high < LOG_C[1]; reach *= 2) {
      [low, f] = [high, g];
      high = Math.min(high + reach, LOG_C[1]);
      g = above(high);
    }
    for (let reach = 2; f <= 0 && low > LOG_C[0]; reach *= 2) {
      [high, g] = [low, f];
      low = Math.max(low - reach, LOG_C[0]);
      f = above(low);
    }
    if (!(g <= 0)) return Infinity;
    if (!(f > 0)) return Math.exp(low);
    for (let i = 0, side = 0; i < 60 && high - low > 1e-5; i++) {
      const u = g - f === 0 ? (low + high) / 2 : (low * g - high * f) / (g - f);
      const h = above(u);
      if (Math.abs(h) < 1e-7) return Math.exp(u);
      if (h > 0) {
        [low, f] = [u, h];
        if (side === 1) g /= 2;
        side = 1;
      } else {
        [high, g] = [u, h];
        if (side === -1) f /= 2;
        side = -1;
      }
    }
    return Math.exp((low + high) / 2);
  }

  /* Quantiles of a mixture: parts are {values, weight}; one part is taken as the Python API takes it. */
  function quantiles(parts, probabilities) {
    if (parts.length === 1) {
      const ordered = Float64Array.from(parts[0].values).sort();
      const last = ordered.length - 1;
      return probabilities.map((p) => {
        const below = Math.floor(p * last);
        const above = Math.min(below + 1, last);
        const step = ordered[above] === ordered[below] ? 0 : ordered[above] - ordered[below];
        return ordered[below] + (p * last - below) * step;
      });
    }
    const total = parts.reduce((sum, part) => sum + part.weight, 0);
    const drawn = [];
    for (const part of parts) {
      const share = part.weight / total / part.values.length;
      for (const value of part.values) drawn.push([value, share]);
    }
    drawn.sort((a, b) => a[0] - b[0]);
    let sum = 0;
    const middle = drawn.map(([, share]) => (sum += share) - share / 2);
    return probabilities.map((p) => {
      let i = middle.findIndex((m) => m >= p);
      if (i < 0) i = middle.length - 1;
      if (i === 0) return drawn[0][0];
      const t = Math.min(1, (p - middle[i - 1]) / (middle[i] - middle[i - 1]));
      return drawn[i - 1][0] === drawn[i][0] ? drawn[i][0] : drawn[i - 1][0] + t * (drawn[i][0] - drawn[i - 1][0]);
    });
  }

  /* Median and equal-tailed interval of a mixture. */
  function estimate(parts, mass) {
    const tail = (1 - mass) / 2;
    const [low, median, high] = quantiles(parts, [tail, 0.5, 1 - tail]);
    return { median, low, high };
  }

  /* The share of a mixture for which something holds. */
  function chance(parts, holds) {
    const total = parts.reduce((sum, part) => sum + part.weight, 0);
    return parts.reduce((sum, part) => {
      let count = 0;
      for (const value of part.values) count += holds(value) ? 1 : 0;
      return sum + (part.weight / total) * (count / part.values.length);
    }, 0);
  }

  /* The law at a point {input: value}, and a new run there, at every draw of every law: {mean, newRun}, parts each. */
  function predict(laws, at) {
    const mean = laws.map((law) => {
      const x = law.inputs.map((name) => at[name]);
      return { weight: law.weight, values: Float64Array.from(law.rows, (k) => law.formula(k, ...x)) };
    });
    const newRun = laws.map((law, i) => {
      return { weight: law.weight, values: mean[i].values.map((m, j) => m * Math.exp(law.scatter[j])) };
    });
    return { mean, newRun };
  }

  /* The optimum of a budget at every draw: parts of N, D, ratio, loss and newRun, and the share without one. */
  function allocate(laws, fixed, C, terms) {
    const found = { N: [], D: [], ratio: [], loss: [], newRun: [] };
    let edges = 0;
    for (const law of laws) {
      const loss = lossOf(law, fixed);
      const each = law.rows.map((k) => optimum(loss, k, C, terms));
      const part = (value) => ({ weight: law.weight, values: Float64Array.from(each, value) });
      found.N.push(part((o) => o.N));
      found.D.push(part((o) => o.D));
      found.ratio.push(part((o) => o.D / o.N));
      found.loss.push(part((o) => o.loss));
      found.newRun.push(part((o, i) => o.loss * Math.exp(law.scatter[i])));
      edges = Math.max(edges, each.filter((o) => o.edge).length / each.length);
    }
    return { ...found, edges };
  }

  /* What a chosen size costs against the optimum at the same budget: parts of loss, newRun, excess, penalty. */
  function penalty(laws, fixed, N, D, C, terms, best) {
    const found = { loss: [], newRun: [], excess: [], penalty: [] };
    laws.forEach((law, j) => {
      const loss = lossOf(law, fixed);
      const values = Float64Array.from(law.rows, (k) => loss(k, N, D));
      const part = (value) => ({ weight: law.weight, values: values.map(value) });
      found.loss.push(part((x) => x));
      found.newRun.push(part((x, i) => x * Math.exp(law.scatter[i])));
      found.excess.push(part((x, i) => Math.max(x - best.loss[j].values[i], 0)));
      let guess = Math.log(C);
      found.penalty.push(
        part((x, i) => {
          const least = leastCompute(loss, law.rows[i], x, terms, guess);
          if (Number.isFinite(least)) guess = Math.log(least);
          return Math.max(C / least, 1);
        }),
      );
    });
    return found;
  }

  /* The compute that a target loss needs, over the draws that reach it: {C, probability}. */
  function needed(laws, fixed, target, terms, C) {
    let probability = 0;
    const total = laws.reduce((sum, law) => sum + law.weight, 0);
    const parts = [];
    for (const law of laws) {
      const loss = lossOf(law, fixed);
      let guess = Math.log(C);
      const values = law.rows.map((k) => {
        const least = leastCompute(loss, k, target, terms, guess);
        if (Number.isFinite(least)) guess = Math.log(least);
        return least;
      });
      const reached = values.filter(Number.isFinite);
      const weight = (law.weight / total) * (reached.length / values.length);
      probability += weight;
      if (reached.length) parts.push({ weight, values: reached });
    }
    return { C: parts, probability };
  }

  return { posterior, thinned, training, tokens, parameters, affords, cost, estimate, chance, predict, allocate, penalty, needed };
})();
if (typeof module !== "undefined") module.exports = bayescale;

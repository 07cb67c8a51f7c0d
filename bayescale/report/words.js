"use strict";
/* Numbers as people write and read them. */
const words = (() => {
  const LETTERS = { K: 1e3, M: 1e6, B: 1e9, T: 1e12 };
  const COUNTS = ["N", "D", "U", "S", "B"];
  const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

  /* '7B', '1.4T', '1e22' or '2 x 10^21' as a number; NaN where it is none. */
  function read(text) {
    const plain = text
      .trim()
      .replace(/[,_\s]/g, "")
      .replace(/[×x*]10\^?/i, "e");
    const found = /^([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)([KMBT]?)$/i.exec(plain);
    if (!found) return NaN;
    const value = Number(found[1]) * (LETTERS[found[2].toUpperCase()] || 1);
    return value > 0 && Number.isFinite(value) ? value : NaN;
  }

  /* A number with so many significant digits. */
  function plain(value, digits = 3) {
    if (!Number.isFinite(value)) return "infinite";
    if (value === 0) return "0";
    const near = Number(value.toPrecision(digits));
    const size = Math.floor(Math.log10(Math.abs(near)) + 1e-12);
    return size < -3 || size >= 6 ? power(near, digits) : near.toFixed(Math.max(digits - 1 - size, 0));
  }

  function power(value, digits = 3) {
    if (!Number.isFinite(value)) return "infinite";
    if (value === 0) return "0";
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    const raised = "10" + [...String(Number(exponent))].map((c) => RAISED[c]).join("");
    const text = String(Number(mantissa));
    return text === "1" ? raised : `${text}\u00a0×\u00a0${raised}`;
  }

  function count(value, digits = 3) {
    if (!Number.isFinite(value)) return "infinite";
    if (value >= 0.9995e15 || value < 1e-3) return power(value, digits);
    for (const letter of ["T", "B", "M", "K"]) {
      if (value >= (1 - 0.5 * 10 ** -digits) * LETTERS[letter])
        return `${plain(value / LETTERS[letter], digits)}\u00a0${letter}`;
    }
    return plain(value, digits);
  }

  /* The digits that a spread resolves, as estimate.figures does in Python. */
  function figures(value, spread) {
    if (!Number.isFinite(value)) return "infinite";
    if (value === 0) return "0";
    const size = Math.floor(Math.log10(Math.abs(value)));
    const resolved = spread > 0 && Number.isFinite(spread) ? Math.floor(Math.log10(spread)) : size - 3;
    const digits = Math.min(Math.max(size - resolved + 2, 2), 8);
    if (size < -4 || size >= 6) return power(value);
    return value.toFixed(Math.max(digits - 1 - size, 0));
  }

  /* A function that writes values of a quantity, given the estimate whose spread decides the digits. */
  function writer(name, found) {
    const write = COUNTS.includes(name) ? count : { C: power, ratio: plain, penalty: plain }[name];
    if (write) return (value) => write(value, found.high < 1.3 * found.low ? 3 : 2);
    return (value) => figures(value, (found.high - found.low) / 4);
  }

  const value = (name, x) => (COUNTS.includes(name) ? count : name === "C" ? power : plain)(x);
  /* A tick of an axis: no trailing zeros. */
  const tick = (name, x) =>
    value(name, x)
      .replace(/\.0+(?=\s|$)/, "")
      .replace(/(\.\d*[1-9])0+(?=\s|$)/, "$1");
  const percent = (share) => {
    if (share < 0.005) return "below 1\u00a0%";
    if (share > 0.995) return "above 99\u00a0%";
    return `${Math.round(100 * share)}\u00a0%`;
  };
  /* A number as an input field shows it: short and readable back. */
  const typed = (x) => {
    const near = Number(x.toPrecision(3));
    return near >= 1e6 || near < 1e-3 ? near.toExponential().replace("e+", "e") : String(near);
  };

  return { read, plain, power, count, figures, writer, value, tick, percent, typed };
})();
if (typeof module !== "undefined") module.exports = words;

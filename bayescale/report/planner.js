"use strict";
/* The planner: reads the fields, works every number out at the posterior draws, and shows it. */
const planner = (() => {
  const BESIDES = 150; // milliseconds of rest before what takes longer is worked out
  const CURVE_DRAWS = 250;
  let content, all, slim, runs, state, later, speech;

  const $ = (id) => document.getElementById(id);

  function start(given) {
    content = given;
    state = { fixed: { ...given.centre } };
    choose(0);
    if (given.allocates) {
      const [low, high] = given.seen.C;
      slide("budget", low / 3, high * 1e5, 10 ** (Math.round(Math.log10(high)) + 1), "C", (x) => (state.C = x));
      for (const id of ["N", "D", "target", "served", "max-N", "max-D"]) optional(id);
      budgetCharts.places();
    } else {
      optional("target");
      planPoint.places();
    }
    document.querySelectorAll("[data-input]").forEach((field) => {
      const name = field.dataset.input;
      const [low, high] = given.seen[name];
      const reach = Math.max((high / low) ** 0.5, 10);
      slide(
        field.querySelector("input").id,
        low / reach,
        high * reach,
        given.centre[name],
        name,
        (x) => (state.fixed[name] = x),
      );
    });
    if (window.matchMedia("(max-width: 48rem)").matches) {
      document.querySelectorAll("#controls details").forEach((group) => group.removeAttribute("open"));
    }
    if ($("law")) $("law").addEventListener("change", update);
    if ($("group"))
      $("group").addEventListener("change", () => {
        choose(Number($("group").value));
        update();
      });
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    update();
  }

  /* Answer for one of the groups: the laws' draws in it, and its runs. */
  function choose(group) {
    state.group = content.groups[group];
    all = content.laws.map((entry, i) => bayescale.posterior(entry, LAWS[i], group));
    slim = all.map((law) => bayescale.thinned(law, CURVE_DRAWS));
    const kept = content.runs.group.map((name, i) => [name, i]).filter(([name]) => name === state.group);
    runs = Object.fromEntries(
      Object.entries(content.runs).map(([name, values]) => [name, kept.map(([, i]) => values[i])]),
    );
  }
  const within = () => (state.group ? ` for ${state.group}` : "");

  /* A number and its slider of powers of ten, kept alike. */
  function slide(id, low, high, at, name, keep) {
    const [box, range] = [$(id), $(`${id}-slide`)];
    range.min = Math.floor(Math.log10(low) * 100) / 100;
    range.max = Math.ceil(Math.log10(high) * 100) / 100;
    const set = (x) => {
      keep(x);
      range.setAttribute("aria-valuetext", `${words.value(name, x)} ${content.units[name] || ""}`);
    };
    range.addEventListener("input", () => {
      const x = Number((10 ** Number(range.value)).toPrecision(3));
      box.value = words.typed(x);
      wrong(id, "");
      set(x);
      update();
    });
    box.addEventListener("input", () => {
      const x = words.read(box.value);
      wrong(id, Number.isNaN(x) ? "a positive number, such as 1e22 or 7B" : "");
      if (Number.isNaN(x)) return;
      range.value = Math.log10(x);
      set(x);
      update();
    });
    box.value = words.typed(at);
    range.value = Math.log10(at);
    set(Number(box.value));
  }

  /* A field that may be left empty. */
  function optional(id) {
    state[id] = NaN;
    $(id).addEventListener("input", () => {
      const text = $(id).value.trim();
      const x = words.read(text);
      wrong(id, text && Number.isNaN(x) ? "a positive number, or nothing" : "");
      state[id] = x;
      update();
    });
  }

  function wrong(id, text) {
    $(`${id}-wrong`).textContent = text;
    $(id).setAttribute("aria-invalid", text ? "true" : "false");
  }

  const chosen = (laws) => ($("law") && $("law").value ? [laws[Number($("law").value)]] : laws);
  const estimate = (parts) => bayescale.estimate(parts, content.interval);
  const percentOf = () => `${Math.round(100 * content.interval)} %`;

  /* A table of estimates: rows are [label, quantity, parts] or [label, quantity, text]. */
  function table(id, caption, rows) {
    const found = $(id) || document.createElement("table");
    found.id = id;
    found.replaceChildren();
    found.createCaption().textContent = caption;
    const head = found.createTHead().insertRow();
    for (const text of ["", "median", `${percentOf()} interval`]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = text;
      head.append(cell);
    }
    const body = found.createTBody();
    for (const [label, quantity, parts, name] of rows) {
      const row = body.insertRow();
      const first = document.createElement("th");
      first.scope = "row";
      first.textContent = label;
      row.append(first);
      row.dataset.quantity = quantity;
      if (!Array.isArray(parts)) {
        row.insertCell().textContent = parts;
        row.insertCell();
        continue;
      }
      const e = estimate(parts);
      Object.assign(row.dataset, e);
      const write = words.writer(name || quantity, e);
      row.insertCell().textContent = write(e.median);
      row.insertCell().textContent = `${write(e.low)} to ${write(e.high)}`;
    }
    $("results").append(
      ...["point", "best", "mine", "goal"].map((each) => (each === id ? found : $(each))).filter(Boolean),
    );
    found.classList.remove("pending");
  }

  function drop(id) {
    if ($(id)) $(id).remove();
  }

  function said(name, parts) {
    const e = estimate(parts);
    const write = words.writer(name, e);
    return `${write(e.median)} (${write(e.low)} to ${write(e.high)})`;
  }

  function say(text) {
    $("say").textContent = text;
    clearTimeout(speech);
    speech = setTimeout(() => ($("live").textContent = text), 700);
  }

  /* How far a value lies from the runs, in words. */
  function distance(value, [low, high], run = "run's") {
    if (value > 1.1 * high) return `${words.plain(value / high, 2)} times the largest ${run}`;
    return value < low / 1.1 ? `1/${words.plain(low / value, 2)} of the smallest ${run}` : "within the runs";
  }

  let asked = false;
  function update() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      clearTimeout(later);
      const slow = content.allocates ? planBudget.now() : planPoint.now();
      later = setTimeout(slow, BESIDES);
    });
  }

  const tools = {
    $,
    table,
    drop,
    said,
    say,
    distance,
    estimate,
    chosen,
    within,
    get runs() {
      return runs;
    },
    get content() {
      return content;
    },
    get all() {
      return all;
    },
    get slim() {
      return slim;
    },
    get state() {
      return state;
    },
  };
  return { start, tools };
})();

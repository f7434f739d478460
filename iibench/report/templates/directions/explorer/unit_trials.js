// The trials of a unit: two queries between their references, what the observer saw, who won.
window.iibench.unitTrials = (() => {
  "use strict";
  const { iibench } = window;
  const { index, column, number, count, make, option, state, picture } = iibench.units;
  const VERDICTS = { right: "✓ right", wrong: "✗ wrong", tie: "= tie, counts one half", none: "not scored" };

  // one evaluation's trials of a unit, with the evidence of every metric
  const read = (entry, local) => {
    const [f, g] = entry.references;
    const t = entry.trials;
    const part = (name, width) => {
      const values = column(entry[name]);
      return Array.from({ length: t }, (_, i) => {
        const from = (local * t + i) * width;
        return Array.from(values.subarray(from, from + width)).filter((image) => image >= 0);
      });
    };
    return {
      strong: part("strong", 1), weak: part("weak", 1),
      toStrong: part("strong_references", f), toWeak: part("weak_references", g),
      evidence: entry.evidence.map(({ metric, strong, margin }) => {
        const cut = (text) => column(text).subarray(local * t, (local + 1) * t);
        return { metric, strong: cut(strong), margin: cut(margin) };
      }),
    };
  };
  const verdict = (margin) => (Number.isNaN(margin) ? "none" : margin > 0 ? "right" : margin < 0 ? "wrong" : "tie");
  const decimals = (values) => {
    const size = Math.max(...Array.from(values, Math.abs).filter(Number.isFinite), 0);
    return size >= 100 ? 1 : size >= 0.01 || size === 0 ? 4 : 8;
  };

  const query = (place, image, side, value, digits, chosen) => {
    const box = make("figure", chosen ? "query chosen" : "query");
    const text = make("figcaption");
    text.append(make("b", "", number(value, digits)), make("span", "", chosen ? `${side}, chosen` : side));
    box.append(picture(place.dataset, image, `${side} query`), text);
    return box;
  };
  const references = (place, images, side) => {
    const box = make("div", `references ${side}`);
    const tiles = make("div", "tiles");
    box.append(make("p", "side", `${side === "strong" ? "strongly" : "weakly"} activating references`), tiles);
    tiles.append(...images.map((image) => picture(place.dataset, image, `${side} reference`)));
    return box;
  };
  const trial = (place, data, i, seen, digits) => {
    const [strong, margin] = [seen.strong[i], seen.margin[i]];
    const said = verdict(margin);
    const item = make("li", `trial ${said}`);
    const head = make("p", "verdict");
    head.append(make("span", "", `Trial ${i + 1}`), make("b", "", VERDICTS[said]), make("span", "", `margin ${number(margin, digits)}`));
    const scene = make("div", "scene");
    if (data.toWeak[i].length) scene.append(references(place, data.toWeak[i], "weak"));
    const queries = make("div", "queries");
    queries.append(query(place, data.strong[i][0], "strong", strong, digits, margin > 0), query(place, data.weak[i][0], "weak", strong - margin, digits, margin < 0));
    scene.append(queries, references(place, data.toStrong[i], "strong"));
    item.append(head, scene);
    return item;
  };

  const start = (part, place, finder, unit, chunk) => {
    const prefix = `x${finder.p}.t`;
    const local = unit - chunk.first;
    const label = (text, control) => {
      const made = make("label", "", `${text} `);
      made.append(control);
      return made;
    };
    const evaluation = make("select");
    evaluation.append(...chunk.evaluations.map((entry) => option(entry.evaluation, entry.evaluation, state.get(`${prefix}e`))));
    const metric = make("select");
    const wrong = make("input");
    wrong.type = "checkbox";
    wrong.checked = state.get(`${prefix}w`) === "1";
    const told = make("p", "told");
    told.setAttribute("role", "status");
    const list = make("ol", "trials");
    const controls = make("p", "controls");
    controls.append(label("Evaluation", evaluation), label("Metric", metric), label("Only wrong ones", wrong));
    part.append(controls, told, list);
    let data = null;
    const show = () => {
      const seen = data.evidence.find((entry) => entry.metric === metric.value) || data.evidence[0];
      const said = Array.from(seen.margin, verdict);
      const of = (name) => said.filter((one) => one === name).length;
      const m = place.measures.findIndex((measure) => measure.evaluation === evaluation.value && measure.metric === seen.metric);
      const values = m < 0 ? null : finder.scores(m);
      const score = values ? values[unit] : NaN;
      const ties = of("tie") ? ` and ${count(of("tie"), "tie")}` : "";
      if (of("none") === said.length) told.textContent = `Not scored under ${seen.metric}: ${finder.reason(m, unit)}. The trials are shown without an answer.`;
      else {
        const share = (of("right") + of("tie") / 2) / said.length;
        const agrees = Math.abs(share - score) < 1e-6 ? "the score of the unit" : `the score on record is ${number(score, 3)}, which differs`;
        told.textContent = `${of("wrong")} wrong${ties} of ${count(said.length, "trial")} under ${seen.metric}: accuracy ${number(share, 3)}, ${agrees}.`;
      }
      const digits = decimals(seen.strong);
      list.classList.toggle("two-sided", data.toWeak.some((images) => images.length));
      list.replaceChildren(...said.flatMap((one, i) => (wrong.checked && one !== "wrong" ? [] : [trial(place, data, i, seen, digits)])));
      if (!list.children.length) list.append(make("li", "info", "No trial was answered wrongly."));
    };
    const open = () => {
      data = read(chunk.evaluations[evaluation.selectedIndex], local);
      const wanted = metric.value || state.get(`${prefix}m`);
      metric.replaceChildren(...data.evidence.map((entry) => option(entry.metric, entry.metric, wanted)));
      show();
    };
    controls.addEventListener("change", (event) => {
      state.set(`${prefix}e`, evaluation.selectedIndex ? evaluation.value : null);
      if (event.target === evaluation) open(); else show();
      state.set(`${prefix}m`, metric.selectedIndex ? metric.value : null);
      state.set(`${prefix}w`, wrong.checked ? "1" : null);
    });
    open();
  };

  // the section about a unit's trials; it fills itself
  return (place, finder, unit) => {
    const part = make("section", "unit-trials");
    part.append(make("h2", "", "Trials"));
    const { evaluations, files } = finder.trials;
    const chunk = Math.floor(unit / index.chunk);
    if (!evaluations.length) {
      part.append(make("p", "info", "No trials are on record: this run has no evaluation that keeps them for this method, or was made before trials were kept."));
    } else if (chunk >= files) {
      part.append(make("p", "info", "The trials of this unit are left out of this file for want of room; the page in a folder has them."));
    } else {
      part.append(make("p", "lead", "The observer sees the references and asks which of two queries activates the unit more. It chooses the one with more evidence (similarity to the references under the metric); the strong query is the right answer."));
      iibench.load(`trials-${finder.p}-${finder.f}-${chunk}`)
        .then((value) => start(part, place, finder, unit, value))
        .catch((error) => part.append(make("p", "info", `The trials cannot be shown: ${error.message}.`)));
    }
    return part;
  };
})();

// What the gallery, the explorer and the pages of units share: columns of numbers, pictures, words.
window.iibench.units = (() => {
  "use strict";
  const { iibench } = window;
  const index = iibench.payload.explorer || { places: {}, sheets: [] };

  // ---- numbers: a column is a type, a colon and base64 of little-endian values
  const types = { i4: Int32Array, f4: Float32Array, u2: Uint16Array, u4: Uint32Array };
  const column = (text) => {
    const binary = atob(text.slice(3));
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = binary.charCodeAt(i);
    return new types[text.slice(0, 2)](bytes.buffer);
  };
  // a function that reads a column when it is first asked for
  const lazily = (text) => {
    let made = null;
    return () => {
      if (made === null && text) made = column(text);
      return made;
    };
  };
  const number = (x, decimals) => {
    if (x === null || x === undefined || !Number.isFinite(x)) return "–";
    const text = x.toFixed(decimals);
    return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
  };
  const short = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(4))).replace("-", "−") : "–");
  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

  // ---- elements; text is only ever set as text
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  // a label that may break after a bracket, comma or equals sign
  const breakable = (element, text) => {
    text.split(/(?<=[[,=])/).forEach((part, i) => element.append(...(i ? [make("wbr"), part] : [part])));
    return element;
  };
  const option = (text, value, chosen) => new Option(text, value, false, value === chosen);

  const { state } = iibench;
  // ---- pictures: tiles of sprite sheets, drawn on canvases so that no neighbour shows at an edge
  let album = null; // dataset -> image -> tile
  const pictures = async () => {
    if (album) return;
    const datasets = index.pictures ? await iibench.load("sprites") : [];
    album = new Map(datasets.map((entry) => {
      const tiles = column(entry.tiles);
      return [entry.dataset, new Map(Array.from(column(entry.images), (image, i) => [image, tiles[i]]))];
    }));
  };
  const loading = new Map();
  const sheet = (number_) => {
    if (!loading.has(number_)) {
      loading.set(number_, new Promise((settle, failed) => {
        const image = new Image();
        image.onload = () => settle(image);
        image.onerror = () => failed(new Error(`sheet ${number_} is not beside this page`));
        image.src = index.sheets[number_].url;
      }));
    }
    return loading.get(number_);
  };
  const blank = (image, words, why) => {
    const box = make("span", "picture absent", "?");
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", `${words}: ${why}`);
    box.title = `${words}: ${why}`;
    return box;
  };
  // an image of a dataset with words for its name; `pictures()` must have ended
  const picture = (dataset, image, words) => {
    const said = `image ${image}${words ? `, ${words}` : ""}`;
    const tile = album.has(dataset) ? album.get(dataset).get(image) : undefined;
    if (tile === undefined) return blank(image, said, "this image is not kept");
    const place = Math.floor(tile / index.tiles);
    const at = tile % index.tiles;
    const { width, height, exact } = index.sheets[place];
    const canvas = make("canvas", exact ? "picture exact" : "picture");
    canvas.width = width;
    canvas.height = height;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", said);
    canvas.title = said;
    sheet(place).then((source) => {
      const x = (at % index.columns) * width;
      const y = Math.floor(at / index.columns) * height;
      canvas.getContext("2d").drawImage(source, x, y, width, height, 0, 0, width, height);
      canvas.dataset.drawn = "yes";
    }, (error) => canvas.replaceWith(blank(image, said, error.message)));
    return canvas;
  };
  // an image on a canvas, `side` pixels wide, once its sheet is there; nothing where it is not kept
  const paint = (dataset, image, context, x, y, side) => {
    const tile = album.has(dataset) ? album.get(dataset).get(image) : undefined;
    if (tile === undefined) return;
    const at = tile % index.tiles;
    const { width, height } = index.sheets[Math.floor(tile / index.tiles)];
    const from = [(at % index.columns) * width, Math.floor(at / index.columns) * height];
    sheet(Math.floor(tile / index.tiles)).then(
      (source) => context.drawImage(source, ...from, width, height, x, y, side, side * height / width),
      () => {},
    );
  };
  const row = (dataset, images, words) => {
    const group = make("span", "pictures");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", words);
    images.forEach(([image, about]) => group.append(picture(dataset, image, about)));
    return group;
  };

  // ---- the units of a finder
  const opened = new Map();
  const units = (p, f) => {
    const name = `units-${p}-${f}`;
    if (!opened.has(name)) {
      opened.set(name, Promise.all([iibench.load(name), pictures()]).then(([data]) => read(p, f, data)));
    }
    return opened.get(name);
  };
  const read = (p, f, data) => {
    const side = (given) => {
      if (!given) return () => [];
      const images = lazily(given.images);
      const responses = lazily(given.responses);
      return (unit) => {
        const m = images().length / data.k;
        return Array.from({ length: m }, (_, i) => [images()[unit * m + i], responses()[unit * m + i]])
          .filter(([image]) => image >= 0);
      };
    };
    const scores = data.scores.map(lazily);
    const codes = Object.fromEntries(Object.entries(data.reasons.columns).map(([i, text]) => [i, lazily(text)]));
    const h = data.histogram;
    const [counts, low, high] = h ? [lazily(h.counts), lazily(h.low), lazily(h.high)] : [];
    const [sparseness, positive] = [lazily(data.sparseness), lazily(data.positive)];
    return {
      p, f, k: data.k, ...index.places[p].finders[f],
      top: side(data.top),
      bottom: side(data.bottom),
      // K scores under a measure, null where the finder has none; why a unit or the finder has none
      scores: (m) => scores[m](),
      reason(m, unit) {
        const { lost } = index.places[p].finders[f];
        const code = codes[m] ? codes[m]()[unit] : 0;
        return lost[m] || (code ? data.reasons.texts[code - 1] : "no score");
      },
      sparseness,
      positive,
      range: () => (h ? low().map((value, unit) => high()[unit] - value) : null),
      histogram: (unit) => (h ? {
        counts: counts().subarray(unit * h.bins, (unit + 1) * h.bins), low: low()[unit], high: high()[unit],
      } : null),
    };
  };
  // places of values by falling value, ties share the middle place: [place (NaN without a value), n]
  const places = (values) => {
    const order = Array.from(values.keys()).filter((i) => !Number.isNaN(values[i]));
    order.sort((a, b) => values[b] - values[a]);
    const found = new Float64Array(values.length).fill(NaN);
    for (let i = 0; i < order.length;) {
      let j = i + 1;
      while (j < order.length && values[order[j]] === values[order[i]]) j += 1;
      for (let at = i; at < j; at += 1) found[order[at]] = (i + j + 1) / 2;
      i = j;
    }
    return [found, order.length];
  };
  const title = (measure) => `${measure.evaluation} · ${measure.metric}`;
  const link = (p, finder, unit) => `#unit/${p}/${encodeURIComponent(finder)}/${unit}`;
  // runs `start` once the element comes near the window
  const near = (element, start) => {
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      start();
    }, { rootMargin: "400px" });
    watch.observe(element);
  };
  const failed = (element, error) => element.replaceChildren(make("p", "info", `This part cannot be shown: ${error.message}.`));
  return { index, column, number, short, count, make, breakable, option, state, pictures, picture, paint, row, units, places, title, link, near, failed };
})();

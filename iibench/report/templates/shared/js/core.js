// What every part of the page uses: data and libraries that are loaded when a view needs them.
window.iibench = (() => {
  "use strict";
  const block = (id) => {
    const element = document.getElementById(id);
    return element ? JSON.parse(element.textContent) : null;
  };
  const waiting = new Map(); // name -> function that settles the promise of a file's data
  const promised = new Map();
  const once = (key, make) => {
    if (!promised.has(key)) promised.set(key, make());
    return promised.get(key);
  };
  const attach = (source, failed) => {
    const script = document.createElement("script");
    script.src = source;
    script.onerror = () => failed(new Error(`${source} is not beside this page`));
    document.head.append(script);
    return script;
  };
  // what stands in text that is escaped for plotly
  const plain = (text) => new DOMParser().parseFromString(String(text), "text/html").documentElement.textContent;
  return {
    plain,
    payload: block("payload") || {},
    // a value that a data file hands over
    deliver(name, value) {
      const settle = waiting.get(name);
      waiting.delete(name);
      if (settle) settle(value);
    },
    // the data of this name: from within the page, or from data/NAME.js beside it
    load(name) {
      return once(`data/${name}`, () => new Promise((settle, failed) => {
        const inside = document.getElementById(`data-${name}`);
        if (inside) { settle(JSON.parse(inside.textContent)); return; }
        waiting.set(name, settle);
        attach(`data/${name}.js`, failed);
      }));
    },
    // a JavaScript library: plotly.min.js (window.Plotly), tables.js (window.DataTable)
    library(name) {
      return once(`library/${name}`, () => new Promise((settle, failed) => {
        const inside = block(`library-${name}`);
        if (inside !== null) {
          const script = document.createElement("script");
          script.textContent = inside;
          document.head.append(script);
          settle();
          return;
        }
        const places = block("places") || {};
        attach(places[name] || `assets/${name}`, failed).onload = () => settle();
      }));
    },
  };
})();

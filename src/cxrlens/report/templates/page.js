"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  if (window.matchMedia("(min-width: 66rem)").matches) by("contents").open = true;
  // Printing unfolds everything, then folds it again.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));

  const island = by("gallery-data");
  if (!island) return;
  const data = JSON.parse(island.textContent);
  const { images, models, methods } = data;
  const START = 0;  // for a model without a threshold
  // Thresholds and images are compared as logits: P of a very certain network is 0 or 1 in all digits.
  const thresholds = models.map((model) => model.threshold ?? START);
  const colours = Object.fromEntries(Object.entries(data.colours).map(
    ([name, text]) => [name, text.match(/../g).map((two) => parseInt(two, 16))]));
  const state = { model: data.first, chosen: 0, shown: images.map((_, row) => row), drawn: 0 };

  const element = (name, text, className) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;  // data is text, never markup
    if (className) node.className = className;
    return node;
  };
  const model = () => models[state.model];
  const logit = (row, of = model()) => of.logit[row];
  const share = (value) => 1 / (1 + Math.exp(-value));  // a logit as P; a negated logit as 1 - P
  const called = (row, which = state.model) => logit(row, models[which]) >= thresholds[which];
  const isWrong = (row) => logit(row) !== null && images[row].label !== null && called(row) !== (images[row].label === 1);
  const sureness = (row) => {
    // The share of the way from the threshold to P = 1, or to P = 0.
    const value = logit(row), t = thresholds[state.model], side = called(row) ? -1 : 1;
    return value === null ? -1 : 1 - share(side * value) / Math.max(Number.MIN_VALUE, share(side * t));
  };
  // A logit as the text of P. A P that is neither 0 nor 1 is never written as 0 or 1: 3.9e-07, or 1 − 3.9e-07.
  const number = (value, digits = 2) => {
    if (value === null) return "unknown";
    const text = share(value).toFixed(digits), rest = Math.min(share(value), share(-value));
    if (rest === 0 || ![0, 1].includes(Number(text))) return text;
    return (value > 0 ? "1 − " : "") + rest.toExponential(1).replace(/-(\d)$/, "-0$1");
  };
  const label = (row) => (images[row].label === null ? "label unknown" : images[row].label === 1 ? "positive" : "negative");

  // The map of an image in colour. Alpha is the share of the scale, so that no evidence is transparent.
  const paint = async (canvas, row, drawing) => {
    const method = by("g-method").value, pngs = method && model().maps[method];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const note = canvas === by("g-canvas") ? by("g-empty") : null;
    if (note) note.textContent = method && !pngs ? "This model has no such map." : "";
    if (!pngs) { context.clearRect(0, 0, canvas.width, canvas.height); return; }
    const picture = new Image();
    picture.src = "data:image/png;base64," + pngs[row];
    await picture.decode();
    if (drawing !== state.drawn) return;  // another model or map was selected meanwhile
    canvas.width = picture.naturalWidth;
    canvas.height = picture.naturalHeight;
    context.drawImage(picture, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height), bytes = pixels.data;
    const signed = methods[method].signed, table = colours[signed ? "signed" : "positive"];
    let most = 0;
    for (let at = 0; at < bytes.length; at += 4) {
      const share = signed ? (bytes[at] - 128) / 124 : bytes[at] / 252;
      most = Math.max(most, Math.abs(share));
      const place = 3 * Math.round(255 * Math.min(1, signed ? (share + 1) / 2 : 0.25 + 0.75 * share));
      bytes[at] = table[place];
      bytes[at + 1] = table[place + 1];
      bytes[at + 2] = table[place + 2];
      bytes[at + 3] = Math.round(255 * Math.min(1, Math.abs(share)));
    }
    context.putImageData(pixels, 0, 0);
    if (note && most < 0.02) note.textContent = "This map shows no evidence.";
  };

  const thumbs = images.map((image, row) => {
    const item = element("li"), button = element("button"), stack = element("span", undefined, "stack");
    const picture = element("img"), canvas = element("canvas"), caption = element("span", "", "caption");
    button.type = "button";
    button.tabIndex = -1;
    stack.style.display = "block";
    picture.src = "data:image/jpeg;base64," + image.jpeg;
    picture.alt = "";  // the name of the button says it
    canvas.setAttribute("aria-hidden", "true");
    stack.append(picture, canvas);
    if (image.lungs) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      svg.setAttribute("viewBox", "0 0 128 128");
      svg.setAttribute("class", "lungs");
      svg.setAttribute("aria-hidden", "true");
      path.setAttribute("d", image.lungs);
      svg.append(path);
      stack.append(svg);
    }
    button.append(stack, caption);
    item.append(button);
    by("g-thumbs").append(item);
    button.addEventListener("click", (event) => {
      choose(row);
      if (event.detail === 0) by("g-viewer").focus();
      else if (!window.matchMedia("(min-width: 48rem)").matches) by("g-viewer").scrollIntoView();
    });
    return { item, button, canvas, caption };
  });

  const choose = (row) => {
    thumbs[state.chosen].button.tabIndex = -1;
    thumbs[state.chosen].button.removeAttribute("aria-current");
    state.chosen = row;
    thumbs[row].button.tabIndex = 0;
    thumbs[row].button.setAttribute("aria-current", "true");
    const image = images[row];
    by("g-image").src = "data:image/jpeg;base64," + image.jpeg;
    by("g-image").alt = `X-ray ${image.name}, ${label(row)}`;
    by("g-outline").setAttribute("d", image.lungs || "");
    by("g-name").textContent = image.name;
    const facts = [["label", label(row)], ...Object.entries(image.facts)];
    by("g-facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
    by("g-all").replaceChildren(...models.map((model, place) => {
      const line = element("tr", undefined, place === state.model ? "now" : ""), name = element("th", model.name);
      name.scope = "row";
      const value = logit(row, model);
      line.append(name, element("td", number(value)), element("td", value === null ? "–" : called(row, place) ? "positive" : "negative"));
      return line;
    }));
    paint(by("g-canvas"), row, state.drawn);
  };

  const matrix = () => {
    const count = { tp: 0, fn: 0, fp: 0, tn: 0 };
    images.forEach((image, row) => {
      if (image.label === null || logit(row) === null) return;
      count[image.label === 1 ? (called(row) ? "tp" : "fn") : (called(row) ? "fp" : "tn")] += 1;
    });
    Object.entries(count).forEach(([name, value]) => { by("g-" + name).textContent = value; });
    const rate = (part, whole) => (whole ? (part / whole).toFixed(2) : "–");
    by("g-rates").textContent = `Sensitivity ${rate(count.tp, count.tp + count.fn)}, specificity `
      + `${rate(count.tn, count.tn + count.fp)}, precision ${rate(count.tp, count.tp + count.fp)}.`;
    by("g-matrix-title").textContent = `Confusion matrix of ${model().name}, network of the first seed`;
    by("g-threshold").value = share(thresholds[state.model]);
    by("g-threshold-value").textContent = number(thresholds[state.model], 3);
  };

  const filter = () => {
    const wanted = { view: by("g-view").value, source: by("g-source").value }, side = by("g-label").value;
    const order = by("g-order").value;
    const sure = images.map((_, row) => sureness(row)).sort((a, b) => b - a);
    const least = sure[Math.max(0, Math.ceil(images.length / 4) - 1)];
    state.shown = images.map((_, row) => row).filter((row) =>
      (!by("g-wrong").checked || isWrong(row))
      && (!by("g-sure").checked || (sureness(row) >= least && sureness(row) >= 0))
      && (side === "" || images[row].label === Number(side))
      && Object.entries(wanted).every(([name, value]) => value === "" || images[row].facts[name] === value));
    if (order) state.shown.sort((a, b) => (order === "high" ? -1 : 1) * (logit(a) - logit(b)));
    by("g-thumbs").replaceChildren(...state.shown.map((row) => thumbs[row].item));
    const wrong = state.shown.filter(isWrong).length;
    by("g-count").textContent = state.shown.length
      ? `${state.shown.length} of ${images.length} images, ${wrong} of them misclassified (✗).` : "No image matches the filter.";
    thumbs.forEach((thumb, row) => {
      thumb.item.classList.toggle("wrong", isWrong(row));
      const text = `${isWrong(row) ? "✗ " : ""}P ${number(logit(row))}, ${label(row)}`;
      thumb.caption.textContent = text;  // the name that a screen reader reads has the same words
      thumb.button.setAttribute("aria-label", `${images[row].name}: ${text}${isWrong(row) ? ", misclassified" : ""}`);
    });
    if (state.shown.length && !state.shown.includes(state.chosen)) choose(state.shown[0]); else choose(state.chosen);
    matrix();
  };

  const redraw = () => {
    state.drawn += 1;
    thumbs.forEach((thumb, row) => paint(thumb.canvas, row, state.drawn));
    filter();
  };

  const step = (count, focus) => {
    const at = state.shown.indexOf(state.chosen), next = Math.min(state.shown.length - 1, Math.max(0, at + count));
    if (!state.shown.length) return;
    choose(state.shown[next]);
    if (focus) thumbs[state.chosen].button.focus();
  };
  const columns = () => {
    const tops = state.shown.map((row) => thumbs[row].item.offsetTop);
    return Math.max(1, tops.filter((top) => top === tops[0]).length);
  };
  by("g-thumbs").addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), Home: -1e6, End: 1e6 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    step(moves[event.key], true);
  });
  const back = () => { if (state.shown.length) thumbs[state.chosen].button.focus(); };
  by("g-viewer").addEventListener("keydown", (event) => {
    if (event.key === "Escape") back();
    else if (event.key === "ArrowLeft") step(-1, false);
    else if (event.key === "ArrowRight") step(1, false);
    else return;
    event.preventDefault();
  });
  by("g-before").addEventListener("click", () => step(-1, false));
  by("g-after").addEventListener("click", () => step(1, false));
  by("g-back").addEventListener("click", back);

  for (const name of ["view", "source"]) {
    const values = [...new Set(images.map((image) => image.facts[name]).filter((value) => value !== undefined))].sort();
    by("g-" + name).append(...values.map((value) => Object.assign(element("option", value), { value })));
    by("g-" + name).closest("label").hidden = values.length < 2;
  }
  by("g-model").addEventListener("change", () => { state.model = Number(by("g-model").value); redraw(); });
  by("g-method").addEventListener("change", redraw);
  by("g-opacity").addEventListener("input", () =>
    document.documentElement.style.setProperty("--map", by("g-opacity").value));
  if (by("g-lungs")) by("g-lungs").addEventListener("change", () =>
    by("viewing").classList.toggle("outlined", by("g-lungs").checked));
  by("g-threshold").addEventListener("input", () => {
    const p = Number(by("g-threshold").value);
    thresholds[state.model] = Math.log(p / (1 - p));
    filter();
  });
  by("g-reset").addEventListener("click", () => { thresholds[state.model] = model().threshold ?? START; filter(); });
  for (const name of ["wrong", "sure", "label", "view", "source", "order"]) by("g-" + name).addEventListener("change", filter);
  by("g-model").value = state.model;
  by("viewing").hidden = false;
  redraw();
})();

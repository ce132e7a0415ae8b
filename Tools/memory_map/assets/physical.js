// The map of frames: drawing, zooming, pointing.
const stage = document.getElementById("frames");
const pen = stage.getContext("2d");
const view = { scale: 1, x: 0, y: 0, width: 0, height: 0, fitted: 1 };
let selected = -1;  // the frame that `whatis` speaks of
let emphasis = -1;  // the use, or with `emphasisName` the cache, that stands out
let emphasisName = "";

function fit() {
  const box = stage.getBoundingClientRect();
  const wanted = Math.min(620, Math.max(200, (box.width * (layout.height + 4)) / (layout.width + 4)));
  stage.style.height = wanted + "px";
  const ratio = devicePixelRatio || 1;
  stage.width = Math.round(box.width * ratio);
  stage.height = Math.round(wanted * ratio);
  view.width = box.width;
  view.height = wanted;
  view.fitted = Math.min(box.width / (layout.width + 4), wanted / (layout.height + 4));
  view.scale = view.fitted;
  view.x = (layout.width - box.width / view.scale) / 2;
  view.y = (layout.height - wanted / view.scale) / 2;
  render();
}

function zoom(factor, atX = view.width / 2, atY = view.height / 2) {
  const scale = Math.min(160, Math.max(view.fitted, view.scale * factor));
  view.x += atX / view.scale - atX / scale;
  view.y += atY / view.scale - atY / scale;
  view.scale = scale;
  keepInside();
  render();
}

function keepInside() {
  const clamp = (value, size, seen) => (
    seen >= size + 4 ? (size - seen) / 2 : Math.min(size + 2 - seen, Math.max(-2, value)));
  view.x = clamp(view.x, layout.width, view.width / view.scale);
  view.y = clamp(view.y, layout.height, view.height / view.scale);
}

const toScreen = ([x, y, width, height]) => [
  (x - view.x) * view.scale, (y - view.y) * view.scale, width * view.scale, height * view.scale];

function paintBlock(first, order, use, blockOrder, name, size) {
  const [x, y, width, height] = toScreen(rectangleOf(first, order));
  if (x > view.width || y > view.height || x + width < 0 || y + height < 0) return;
  const colour = colourOf(use, blockOrder, name);
  const inset = height > 5 ? 0.6 : height > 2.4 ? 0.25 : 0;
  pen.globalAlpha = emphasis >= 0 && (use !== emphasis || (emphasisName && name !== emphasisName)) ? 0.13 : 1;
  fillWith(pen, use, colour, x + inset, y + inset, width - 2 * inset, height - 2 * inset, height > 6);
  if (height > 15 && width > 15) {
    pen.fillStyle = inkOn(colour);
    const wordy = width > 74 && height > 24;
    if (use === FREE && !wordy) return;
    const text = wordy ? (use === SLAB && name ? name : use === FREE ? `free, order ${blockOrder}` : uses[use].label)
      : uses[use].letter;
    pen.font = wordy ? "12px system-ui, sans-serif" : `${Math.min(14, height * 0.6)}px system-ui, sans-serif`;
    const lines = wordy && height > 44 ? [text, hex(first)] : [text];
    lines.forEach((line, index) => {
      pen.fillText(line, x + width / 2, y + height / 2 + (index - (lines.length - 1) / 2) * 15, width - 6);
    });
  }
}

// A section as the trace has it at its moment: squares of equal frames.
function paintMoment(first, order, states) {
  const size = 2 ** order;
  const use = states[first % SECTION];
  let equal = true;
  for (let index = 1; index < size && equal; index++) equal = states[(first + index) % SECTION] === use;
  if (!equal) {
    paintMoment(first, order - 1, states);
    paintMoment(first + size / 2, order - 1, states);
  } else if (use !== 255) {
    const run = runs[runIndexAt(first)];
    const isShown = run && run.use === use;
    paintBlock(first, order, use, use === FREE && isShown ? run.order : Math.min(order, 10), isShown ? run.name : "");
  }
}

function paintSection(entry) {
  const states = timeline.statesOf(entry.section);
  if (states) return paintMoment(entry.section * SECTION, 10, states);
  for (const index of entry.runs) {
    const run = runs[index];
    const first = Math.max(run.first, entry.section * SECTION);
    const count = Math.min(run.end, (entry.section + 1) * SECTION) - first;
    const highest = view.scale > 7 || run.use === FREE || run.use === SLAB ? run.order : 10;
    for (const [start, order] of blocksOf(first, count, run.use === RESERVED ? 10 : highest)) {
      paintBlock(start, order, run.use, run.order, run.name);
    }
  }
}

function outline(frame) {
  const index = runIndexAt(frame);
  if (index < 0) return;
  const run = runs[index];
  const boxes = blocksOf(run.first, run.count, 10).slice(0, 400).map(([first, order]) => toScreen(rectangleOf(first, order)));
  for (const [width, colour] of [[4, isDark() ? "#000000" : "#ffffff"], [2, isDark() ? "#ffffff" : "#000000"]]) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    for (const [x, y, w, h] of boxes) pen.strokeRect(x - 1, y - 1, Math.max(3, w + 2), Math.max(3, h + 2));
  }
}

function render() {
  const style = getComputedStyle(document.documentElement);
  const ratio = devicePixelRatio || 1;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.globalAlpha = 1;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = style.getPropertyValue("--ground");
  pen.fillRect(0, 0, view.width, view.height);
  for (const band of layout.bands) {
    if (!band.count) continue;
    const [x, y, , height] = toScreen([0, band.y, 0, HEADING]);
    const size = Math.max(9, Math.min(15, height * 0.8));
    pen.globalAlpha = 1;
    pen.textAlign = "left";
    pen.font = `600 ${size}px system-ui, sans-serif`;
    pen.fillStyle = style.getPropertyValue("--text");
    if (height > 7) pen.fillText(`${band.zone.name}  ·  ${hex(layout.sections[band.first].section * SECTION * 4096)}`, Math.max(4, x), y + height / 2);
    pen.textAlign = "center";
    for (let index = band.first; index < band.first + band.count; index++) {
      const entry = layout.sections[index];
      const [left, top, side] = toScreen([entry.x, entry.y, SIDE, SIDE]);
      if (left > view.width || top > view.height || left + side < 0 || top + side < 0) continue;
      paintSection(entry);
    }
  }
  pen.globalAlpha = 1;
  if (selected >= 0) outline(selected);
}

let isDue = false;
function renderSoon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    render();
  });
}

const pointFrame = (event) => {
  const box = stage.getBoundingClientRect();
  return frameAt((event.clientX - box.left) / view.scale + view.x, (event.clientY - box.top) / view.scale + view.y);
};

function select(frame) {
  selected = frame;
  const { line, rows } = describe(frame);
  document.getElementById("whatis").textContent = line;
  stage.dataset.frame = frame;
  document.getElementById("details").replaceChildren(
    ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  renderSoon();
}

let drag = null;
stage.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, y: event.clientY, viewX: view.x, viewY: view.y, moved: false };
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener("pointermove", (event) => {
  if (drag && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 3) drag.moved = true;
  if (drag?.moved) {
    stage.classList.add("moving");
    view.x = drag.viewX - (event.clientX - drag.x) / view.scale;
    view.y = drag.viewY - (event.clientY - drag.y) / view.scale;
    keepInside();
    return renderSoon();
  }
  const frame = pointFrame(event);
  if (frame < 0) return hideTip();
  if (frame !== selected) select(frame);
  showTip(event, describe(frame).line);
});
stage.addEventListener("pointerup", () => {
  drag = null;
  stage.classList.remove("moving");
});
stage.addEventListener("pointerleave", hideTip);
stage.addEventListener("dblclick", (event) => {
  const box = stage.getBoundingClientRect();
  zoom(2.5, event.clientX - box.left, event.clientY - box.top);
});
stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey && document.activeElement !== stage) return;
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoom(2 ** (-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
document.getElementById("zoom-in").addEventListener("click", () => zoom(1.8));
document.getElementById("zoom-out").addEventListener("click", () => zoom(1 / 1.8));
document.getElementById("zoom-fit").addEventListener("click", fit);

// The legend's buttons: one use stands out.
function emphasise(use, name = "") {
  [emphasis, emphasisName] = emphasis === use && emphasisName === name ? [-1, ""] : [use, name];
  for (const key of document.querySelectorAll("button.key")) {
    key.setAttribute("aria-pressed", String(useIndex[key.dataset.use] === emphasis && !emphasisName));
  }
  for (const key of document.querySelectorAll("button.cache-key")) {
    key.setAttribute("aria-pressed", String(key.dataset.cache === emphasisName && emphasis === SLAB));
  }
  renderSoon();
}
for (const key of document.querySelectorAll("button.key")) {
  key.addEventListener("click", () => emphasise(useIndex[key.dataset.use]));
}

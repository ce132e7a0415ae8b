// The keyboard on the map: from region to region.
function centreOf(frame) {
  const run = runs[runIndexAt(frame)];
  const largest = blocksOf(run.first, run.count, 10).reduce((best, block) => (block[1] > best[1] ? block : best));
  const [x, y, width, height] = rectangleOf(...largest);
  return [x + width / 2, y + height / 2];
}

function show(frame) {
  const [x, y] = centreOf(frame);
  const [left, top] = toScreen([x, y, 0, 0]);
  if (left < 0 || top < 0 || left > view.width || top > view.height) {
    view.x = x - view.width / view.scale / 2;
    view.y = y - view.height / view.scale / 2;
    keepInside();
  }
  select(frame);
}

// The run whose centre is nearest to straight above (-1) or below (1) of the frame's.
function neighbour(frame, direction) {
  const [x, y] = centreOf(frame);
  const step = Math.max(1, 6 / view.scale);
  const own = runIndexAt(frame);
  for (let distance = step; distance < layout.height + 2 * SIDE; distance += step) {
    const found = frameAt(x, y + direction * distance);
    const index = found < 0 ? -1 : runIndexAt(found);
    if (index >= 0 && index !== own) return runs[index].first;
  }
  return frame;
}

stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const index = selected < 0 ? -1 : runIndexAt(selected);
  const actions = {
    ArrowRight: () => show(runs[Math.min(runs.length - 1, index + 1)].first),
    ArrowLeft: () => show(runs[Math.max(0, index - 1)].first),
    ArrowDown: () => show(index < 0 ? runs[0].first : neighbour(selected, 1)),
    ArrowUp: () => show(index < 0 ? runs[0].first : neighbour(selected, -1)),
    Home: () => show(runs[0].first),
    End: () => show(runs[runs.length - 1].first),
    PageDown: () => show(runs[Math.min(runs.length - 1, index + 20)].first),
    PageUp: () => show(runs[Math.max(0, index - 20)].first),
    "+": () => zoom(1.5, ...keyPoint()),
    "=": () => zoom(1.5, ...keyPoint()),
    "-": () => zoom(1 / 1.5, ...keyPoint()),
    "0": fit,
    Escape: fit,
    Enter: () => index >= 0 && zoomTo(selected),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

// Where the keyboard zooms: at what is selected, else in the middle.
function keyPoint() {
  if (selected < 0 || runIndexAt(selected) < 0) return [];
  const [x, y] = toScreen([...centreOf(selected), 0, 0]);
  return [x, y];
}

function zoomTo(frame) {
  const run = runs[runIndexAt(frame)];
  const [, order] = blocksOf(run.first, run.count, 10).reduce((best, block) => (block[1] > best[1] ? block : best));
  const [x, y] = centreOf(frame);
  view.scale = Math.min(110, Math.max(view.fitted, view.height / (2 ** (order / 2) * 3)));
  view.x = x - view.width / view.scale / 2;
  view.y = y - view.height / view.scale / 2;
  keepInside();
  render();
}

// Moves the focus among elements of which only one is in the order of tabs.
function roving(container, selector, onMove = () => false) {
  container.addEventListener("keydown", (event) => {
    const items = [...container.querySelectorAll(selector)];
    const place = items.indexOf(document.activeElement);
    if (place < 0 || onMove(event, items[place])) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -items.length, End: items.length }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = items[Math.max(0, Math.min(items.length - 1, place + step))];
    items[place].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

// Colours and patterns of the theme that is shown.
const darkQuery = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (darkQuery.matches ? "dark" : "light")) === "dark";
const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function channels(colour) {
  return [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));
}

function blend(first, last, share) {
  const low = channels(first), high = channels(last);
  return "#" + low.map((value, index) => (
    Math.round(value + (high[index] - value) * share).toString(16).padStart(2, "0"))).join("");
}

const useColour = (use) => (isDark() ? uses[use].dark : uses[use].light);
const cacheNumber = new Map(dump.caches.map((cache, index) => [cache.name, index]));

// Free blocks by order, slabs by cache in five shades, all else by use.
function colourOf(use, order, name) {
  if (use === FREE) {
    const [low, high] = dump.freeShades[isDark() ? "dark" : "light"];
    return blend(low, high, Math.min(order, 10) / 10);
  }
  if (use === SLAB && cacheNumber.has(name)) {
    const shade = (cacheNumber.get(name) * 2) % 5;
    return blend(useColour(use), isDark() ? "#0b3a5c" : "#bfe3fa", shade * 0.13);
  }
  return useColour(use);
}

// Black or white, whichever is read better on a colour.
function inkOn(colour) {
  const [red, green, blue] = channels(colour).map((value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}

function strokesOf(pattern, size) {
  const half = size / 2;
  switch (pattern) {
    case "lines": return [[0, half, size, half]];
    case "bars": return [[half, 0, half, size]];
    case "grid": return [[0, half, size, half], [half, 0, half, size]];
    case "rising": return [[-1, size + 1, size + 1, -1], [-1, 1, 1, -1], [size - 1, size + 1, size + 1, size - 1]];
    case "falling": return [[-1, -1, size + 1, size + 1], [size - 1, -1, size + 1, 1], [-1, size - 1, 1, size + 1]];
    case "cross": return [...strokesOf("rising", size), ...strokesOf("falling", size)];
    default: return [];
  }
}

const patternCache = new Map();
function patternFor(context, use) {
  const { pattern } = uses[use];
  if (pattern === "none") return null;
  const ink = inkOn(useColour(use));
  const key = pattern + ink;
  if (!patternCache.has(key)) {
    const size = 7, tile = make("canvas", { width: size, height: size }), brush = tile.getContext("2d");
    brush.globalAlpha = ink === "#000000" ? 0.28 : 0.38;
    brush.strokeStyle = brush.fillStyle = ink;
    if (pattern === "dots") {
      brush.beginPath();
      brush.arc(size / 2, size / 2, 1.3, 0, 7);
      brush.fill();
    }
    brush.beginPath();
    for (const [x, y, toX, toY] of strokesOf(pattern, size)) {
      brush.moveTo(x, y);
      brush.lineTo(toX, toY);
    }
    brush.stroke();
    patternCache.set(key, context.createPattern(tile, "repeat"));
  }
  return patternCache.get(key);
}

function fillWith(context, use, colour, x, y, width, height, withPattern) {
  context.fillStyle = colour;
  context.fillRect(x, y, width, height);
  const pattern = withPattern && patternFor(context, use);
  if (pattern) {
    context.fillStyle = pattern;
    context.fillRect(x, y, width, height);
  }
}

function paintSwatches() {
  for (const canvas of document.querySelectorAll("canvas.swatch")) {
    const use = useIndex[canvas.dataset.use], context = canvas.getContext("2d");
    fillWith(context, use, colourOf(use, use === FREE ? 5 : 0), 0, 0, 36, 36, true);
  }
}

const tip = document.getElementById("tip");
function showTip(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(event.clientX + 16, innerWidth - box.width - 8)) + "px";
  const below = event.clientY + 18;
  tip.style.top = (below + box.height > innerHeight ? event.clientY - box.height - 12 : below) + "px";
}
const hideTip = () => { tip.hidden = true; };

// The regions of the address space, and every area with its rights and what is behind its pages.
const KIND_USE = { vmalloc: "vmalloc", stack: "stack", guarded: "guarded", device: "dma", vmap: "allocated" };

function sizeText(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0, size = Number(bytes);
  while (size >= 1024 && unit < 4) {
    size /= 1024;
    unit++;
  }
  return `${Number(size.toFixed(1)).toLocaleString("en")} ${units[unit]}`;
}

function rightsElement(rights) {
  const names = { r: "read", w: "write", x: "execute" };
  const allowed = [...rights.slice(0, 3)].filter((letter) => letter !== "-").map((letter) => names[letter]);
  const element = make("span", { class: "rights", role: "img", "aria-label": allowed.length ? "may " + allowed.join(", ") : "no access" });
  for (const letter of "rwx") {
    element.append(make("b", rights.includes(letter) ? {} : { class: "off" }, rights.includes(letter) ? letter : "-"));
  }
  return element;
}

function drawRegions() {
  const rows = dump.regions.map(([start, end, name]) => {
    const first = BigInt("0x" + start), last = BigInt("0x" + end);
    const mapped = {};
    for (const [from, , size, rights, , , what] of dump.mappings) {
      const address = BigInt("0x" + from);
      if (address < first || address >= last || what === "guard" || what === "demand") continue;
      mapped[rights.slice(0, 3)] = (mapped[rights.slice(0, 3)] ?? 0) + size * 1024;
    }
    const shares = Object.entries(mapped).map(([rights, bytes]) => (
      make("span", {}, rightsElement(rights), ` ${sizeText(bytes)}`)));
    return make("div", { class: "region", "data-region": name }, make("b", {}, name),
      make("span", { class: "mono" }, `${hex(first)}-${hex(last - 1n)}`), make("span", { class: "number" }, sizeText(last - first)),
      make("span", { class: "share" }, ...(shares.length ? shares : ["nothing mapped"])));
  });
  document.getElementById("regions").replaceChildren(...rows);
}

// The parts of an area in the order of addresses: guard pages, then what each line of pages says, and gaps.
function partsOf(area) {
  const parts = [], page = 4096n;
  const add = (address, count, kind, rights, frames) => count > 0 && parts.push({ address, count, kind, rights, frames });
  add(area.first, area.guard[0], "guard", "---");
  let next = area.first + page * BigInt(area.guard[0]);
  for (const [start, rights, size, kind, count, frames] of area.pages) {
    const address = BigInt("0x" + start);
    add(next, Number((address - next) / page), "unmapped", "---");
    add(address, count, kind, rights, frames);
    next = address + page * BigInt(count);
  }
  const end = area.last - page * BigInt(area.guard[1]);
  add(next, Number((end - next) / page), "unmapped", "---");
  add(end, area.guard[1], "guard", "---");
  return parts;
}

function frameOfPart(part, index) {
  for (const [first, count] of part.frames ?? []) {
    if (index < count) return first + index;
    index -= count;
  }
  return -1;
}

const WORDS = { guard: "guard, not mapped", demand: "due at its first touch, no frame yet", unmapped: "not mapped" };
function partLine(area, part, index) {
  const address = part.address + 4096n * BigInt(index);
  const frame = frameOfPart(part, index);
  const what = frame < 0 ? WORDS[part.kind] : `frame ${hex(frame)}`;
  return `${hex(address)} · ${area.kind} area ${area.name} + ${hex(address - area.first)} · ${part.rights} · ${what}`;
}

function drawBar(area, parts) {
  const total = parts.reduce((sum, part) => sum + part.count, 0), width = 1000;
  const svg = draw("svg", { viewBox: `0 0 ${width} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const use = useIndex[KIND_USE[area.kind] ?? "vmalloc"];
  const scale = width / total;
  let place = 0;
  for (const part of parts) {
    const x = place * scale, w = part.count * scale;
    const hatch = part.kind === "guard";
    svg.append(draw("rect", { x: x + 0.4, y: 0.6, width: Math.max(0.8, w - 0.8), height: 18.8,
      fill: part.kind === "mapped" ? useColour(use) : hatch ? "url(#hatch)" : "none",
      stroke: part.kind === "mapped" ? "none" : "var(--muted)", "stroke-width": 0.8, "vector-effect": "non-scaling-stroke",
      "stroke-dasharray": part.kind === "demand" ? "3 2" : "none" }));
    place += part.count;
  }
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    let page = Math.min(total - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * total)));
    const part = parts.find((candidate) => page < candidate.count || ((page -= candidate.count), false));
    showTip(event, partLine(area, part, page));
  });
  svg.addEventListener("pointerleave", hideTip);
  return svg;
}

function drawArea(area) {
  const parts = partsOf(area);
  const rights = area.pages.length ? area.pages[0][1] : "---";
  const present = area.pages.reduce((sum, pages) => sum + (pages[3] === "mapped" ? pages[4] : 0), 0);
  const line = `${area.kind} area ${area.name}, ${hex(area.first)} to ${hex(area.last)}, ${rights}, ${present} pages present, ${area.promised} frames promised`;
  const row = make("div", { class: "area", role: "listitem", tabindex: -1, "aria-label": line, "data-start": hex(area.first),
    "data-kind": area.kind, "data-present": present },
    make("span", { class: "name" }, make("span", { class: "mono" }, hex(area.first)), ` ${area.name} `,
      make("small", {}, area.caller)),
    make("span", { class: "kind" }, area.kind), make("span", { class: "number" }, sizeText(area.last - area.first)),
    rightsElement(rights), drawBar(area, parts));
  let part = -1;
  row.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    event.preventDefault();
    event.stopPropagation();
    part = Math.max(0, Math.min(parts.length - 1, part + (event.key === "ArrowRight" ? 1 : -1)));
    const box = row.lastChild.getBoundingClientRect();
    const words = partLine(area, parts[part], 0) + ` · ${plural(parts[part].count, "page")}`;
    document.getElementById("whatis").textContent = words;
    showTip({ clientX: box.left, clientY: box.bottom - 10 }, words);
  });
  row.addEventListener("blur", hideTip);
  return row;
}

function drawVirtual() {
  drawRegions();
  const list = document.getElementById("areas");
  const defs = draw("svg", { width: 0, height: 0, "aria-hidden": "true", style: "position:absolute" });
  const hatch = draw("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  hatch.append(draw("line", { x1: 0, x2: 0, y1: 0, y2: 6, stroke: "var(--muted)", "stroke-width": 3 }));
  defs.append(hatch);
  list.replaceChildren(...dump.areas.map(drawArea), defs);
  if (list.firstChild?.classList.contains("area")) list.firstChild.tabIndex = 0;
}

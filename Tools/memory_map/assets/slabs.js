// Each cache with its slabs, each slab with its objects.
const STATES = { A: "in use", ".": "free", m: "free, in a magazine", q: "in quarantine", r: "in a pool's reserve" };
const SHOWN_AT_FIRST = 48;
const CACHES_AT_FIRST = 16;

function geometry(cache) {
  const columns = Math.min(cache.objects, cache.objects > 256 ? 32 : 16);
  const cell = cache.objects > 256 ? 5 : cache.objects > 64 ? 7 : cache.objects > 16 ? 8 : 11;
  return { columns, cell, rows: Math.ceil(cache.objects / columns) };
}

function slabLine(slab) {
  return `slab ${hex(slab.base)} of ${slab.cache.name} · frame ${hex(slab.frame)} · ${slab.used} of ${slab.cache.objects} in use`;
}

function objectLine(slab, index) {
  const address = slab.base + BigInt(index) * BigInt(slab.cache.slot);
  return `object ${hex(address)} of ${slab.cache.name} (${slab.cache.object} bytes, ${STATES[slab.states[index]]}) · ${slabLine(slab)}`;
}

function drawSlab(slab) {
  const { columns, cell, rows } = geometry(slab.cache);
  const width = columns * cell + 2, height = rows * cell + 2;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "slab", role: "img", tabindex: -1,
    "aria-label": slabLine(slab), "data-frame": slab.frame, "data-used": slab.used });
  const paths = { used: "", magazine: "", free: "", other: "" };
  for (let index = 0; index < slab.states.length; index++) {
    const x = 1 + (index % columns) * cell, y = 1 + Math.floor(index / columns) * cell, side = cell - 1.4;
    const square = `M${x} ${y}h${side}v${side}h${-side}z`;
    const state = slab.states[index];
    if (state === "A") paths.used += square;
    else if (state === ".") paths.free += square;
    else if (state === "m") {
      paths.magazine += `M${x} ${y + side}h${side}v${-side}z`;
      paths.free += square;
    } else paths.other += square;
  }
  const colour = colourOf(SLAB, 0, slab.cache.name);
  svg.append(
    draw("path", { d: paths.free, fill: "none", stroke: "var(--muted)", "stroke-width": 0.6, "stroke-opacity": 0.75 }),
    draw("path", { d: paths.magazine, fill: colour, "fill-opacity": 0.55 }),
    draw("path", { d: paths.used, fill: colour }),
    draw("path", { d: paths.other, fill: useColour(useIndex.vmalloc) }));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const column = Math.floor((((event.clientX - box.left) * width) / box.width - 1) / cell);
    const row = Math.floor((((event.clientY - box.top) * height) / box.height - 1) / cell);
    const index = row * columns + column;
    showTip(event, column >= 0 && column < columns && index >= 0 && index < slab.states.length
      ? objectLine(slab, index) : slabLine(slab));
  });
  svg.addEventListener("pointerleave", hideTip);
  svg.addEventListener("focus", () => select(slab.frame));
  return svg;
}

function drawCache(cache) {
  const slabs = cache.slabs.map(([, frame]) => slabOfFrame.get(frame)).sort((one, other) => one.frame - other.frame);
  const used = slabs.reduce((sum, slab) => sum + slab.used, 0), all = slabs.length * cache.objects;
  const kib = slabs.length * 4 * 2 ** cache.order;
  const key = make("button", { type: "button", class: "cache-key", "data-cache": cache.name, "aria-pressed": "false",
    "aria-label": `Show ${cache.name} on the map` }, "On the map");
  key.addEventListener("click", () => emphasise(SLAB, cache.name));
  const list = make("div", { class: "slabs", role: "group", "aria-label": `Slabs of ${cache.name}` });
  const fill = (count) => {
    list.replaceChildren(...slabs.slice(0, count).map(drawSlab));
    if (list.firstChild) list.firstChild.tabIndex = 0;
    if (slabs.length > count) {
      const more = make("button", { type: "button" }, `All ${slabs.length} slabs`);
      more.addEventListener("click", () => fill(slabs.length));
      list.append(more);
    }
  };
  fill(SHOWN_AT_FIRST);
  roving(list, "svg.slab");
  const meter = make("i", { style: `width:${all ? (100 * used) / all : 0}%;background:${colourOf(SLAB, 0, cache.name)}` });
  return make("article", { class: "cache", "data-cache": cache.name, "data-used": used, "data-objects": all, "data-slabs": slabs.length },
    make("h3", {}, make("span", { class: "mono" }, cache.name), key),
    make("p", {}, `${used.toLocaleString("en")} of ${all.toLocaleString("en")} objects of ${cache.object} bytes in use · ${plural(slabs.length, "slab")} · ${kib.toLocaleString("en")} KiB`),
    make("div", { class: "meter", "aria-hidden": "true" }, meter), list);
}

let showsAllCaches = false;

function drawSlabs() {
  const frames = (cache) => cache.slabs.length * 2 ** cache.order;
  const caches = [...dump.caches].sort((one, other) => frames(other) - frames(one));
  const shown = showsAllCaches ? caches : caches.slice(0, CACHES_AT_FIRST);
  document.getElementById("caches").replaceChildren(...shown.map(drawCache));
  const more = document.getElementById("all-caches");
  more.hidden = shown.length === caches.length;
  more.textContent = `All ${caches.length} caches`;
}

document.getElementById("all-caches").addEventListener("click", () => {
  showsAllCaches = true;
  drawSlabs();
  document.getElementById("caches").children[CACHES_AT_FIRST]?.querySelector("button").focus();
});

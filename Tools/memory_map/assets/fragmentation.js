// Free blocks of each order, and Linux's unusable free index, zone by zone.
function freeBlocks(zone) {
  const counts = new Array(11).fill(0);
  for (const run of runs) {
    if (run.use === FREE && zoneOf(run.first) === zone) counts[run.order] += Math.floor(run.count / 2 ** run.order);
  }
  return counts;
}

// The share of free memory that lies in blocks too small for each order.
function unusable(counts) {
  const total = counts.reduce((sum, count, order) => sum + count * 2 ** order, 0);
  let below = 0;
  return counts.map((count, order) => {
    const share = total ? below / total : 0;
    below += count * 2 ** order;
    return share;
  });
}

function drawZone(zone) {
  const counts = freeBlocks(zone), index = unusable(counts);
  const width = 460, height = 210, left = 34, bottom = 30, top = 30, step = (width - left - 36) / 11;
  const highest = Math.max(1, Math.ceil(Math.log2(Math.max(...counts) + 1)));
  const tall = height - top - bottom;
  const summary = counts.map((count, order) => `order ${order}: ${count}`).join(", ");
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "data-zone": zone.name,
    "aria-label": `Zone ${zone.name}, free blocks: ${summary}` });
  const text = (x, y, words, extra = {}) => svg.append(draw("text", {
    x, y, "font-size": 11, fill: "var(--muted)", "text-anchor": "middle", ...extra }, words));
  text(0, 13, zone.name, { "text-anchor": "start", "font-size": 14, "font-weight": 600, fill: "var(--text)" });
  text(width, 13, `${zone.free.toLocaleString("en")} of ${zone.managed.toLocaleString("en")} frames free`, { "text-anchor": "end" });
  for (let line = 0; line <= 4; line++) {
    const y = top + (tall * line) / 4;
    svg.append(draw("line", { x1: left, x2: width - 36, y1: y, y2: y, stroke: "var(--line)" }));
    text(width - 32, y + 4, `${100 - line * 25}%`, { "text-anchor": "start" });
  }
  counts.forEach((count, order) => {
    const x = left + order * step + 4;
    const bar = count ? Math.max(3, (Math.log2(count + 1) / highest) * tall) : 0;
    const rect = draw("rect", { x, y: top + tall - bar, width: step - 8, height: bar, rx: 2, fill: colourOf(FREE, order),
      stroke: "var(--muted)", "stroke-width": 0.7, "data-order": order, "data-count": count });
    rect.append(draw("title", {}, `order ${order}: ${plural(count, "free block")}, ${(count * 2 ** order).toLocaleString("en")} frames`));
    svg.append(rect);
    text(x + step / 2 - 4, height - 14, order);
    if (count) text(x + step / 2 - 4, top + tall - bar - 4, count.toLocaleString("en"), { fill: "var(--text)", "font-size": 10.5 });
  });
  const point = (order) => [left + order * step + step / 2, top + tall * (1 - index[order])];
  svg.append(draw("polyline", { points: counts.map((_, order) => point(order).join(",")).join(" "), fill: "none",
    stroke: useColour(useIndex["page-table"]), "stroke-width": 2.2, "stroke-linejoin": "round" }));
  counts.forEach((_, order) => {
    const [cx, cy] = point(order);
    const dot = draw("circle", { cx, cy, r: 3.4, fill: useColour(useIndex["page-table"]), "data-unusable": index[order].toFixed(4) });
    dot.append(draw("title", {}, `unusable for order ${order}: ${(100 * index[order]).toFixed(1)} %`));
    svg.append(dot);
  });
  text(left + (width - left - 36) / 2, height - 1, "order of the block");
  return svg;
}

function drawFragmentation() {
  document.getElementById("zones").replaceChildren(...zones.map(drawZone));
}

// Where frames lie in the picture: as Tools/memory_map/layout.py has it.
const SIDE = 32, SECTION = 1024, GAP = 1.6, HEADING = 9;

const curve = Array.from({ length: SECTION }, (_, index) => {
  let x = 0, y = 0;
  for (let bit = 0; bit < 5; bit++) {
    x |= ((index >> (2 * bit)) & 1) << bit;
    y |= ((index >> (2 * bit + 1)) & 1) << bit;
  }
  return [x, y];
});
const frameOfPlace = new Uint16Array(SECTION);
curve.forEach(([x, y], index) => { frameOfPlace[y * SIDE + x] = index; });

// The aligned blocks, of an order up to `highest`, of a range of frames: [first, order].
function blocksOf(first, count, highest) {
  const found = [], end = first + count;
  while (first < end) {
    let order = highest;
    while (order > 0 && (first % 2 ** order || 2 ** order > end - first)) order--;
    found.push([first, order]);
    first += 2 ** order;
  }
  return found;
}

const layout = { bands: [], sections: [], place: new Map(), columns: 0, width: 0, height: 0 };
{
  const ofZone = zones.map(() => []);
  runs.forEach((run, index) => {
    for (let section = Math.floor(run.first / SECTION); section * SECTION < run.end; section++) {
      const list = ofZone[zones.indexOf(zoneOf(section * SECTION))];
      if (list[list.length - 1]?.section !== section) list.push({ section, runs: [] });
      list[list.length - 1].runs.push(index);
    }
  });
  const count = ofZone.reduce((sum, list) => sum + list.length, 0);
  layout.columns = Math.max(4, Math.ceil(Math.sqrt(count * 2.6)));
  const pitch = SIDE + GAP;
  let y = 0;
  zones.forEach((zone, number) => {
    const band = { zone, y, first: layout.sections.length, count: ofZone[number].length };
    layout.bands.push(band);
    y += HEADING;
    ofZone[number].forEach((entry, index) => {
      entry.x = (index % layout.columns) * pitch;
      entry.y = y + Math.floor(index / layout.columns) * pitch;
      layout.place.set(entry.section, entry);
      layout.sections.push(entry);
    });
    y += Math.ceil(ofZone[number].length / layout.columns) * pitch + 3;
    band.end = y;
  });
  layout.width = layout.columns * pitch - GAP;
  layout.height = y - 3 - GAP;
}

// The rectangle of an aligned block: x, y, width, height.
function rectangleOf(first, order) {
  const entry = layout.place.get(Math.floor(first / SECTION));
  const [x, y] = curve[first % SECTION];
  return [entry.x + x, entry.y + y, 2 ** ((order + 1) >> 1), 2 ** (order >> 1)];
}

// The frame at a point of the picture; -1 where there is none.
function frameAt(x, y) {
  for (const band of layout.bands) {
    if (y < band.y + HEADING || y >= band.end) continue;
    const column = Math.floor(x / (SIDE + GAP)), row = Math.floor((y - band.y - HEADING) / (SIDE + GAP));
    const index = row * layout.columns + column;
    if (column < 0 || column >= layout.columns || index < 0 || index >= band.count) return -1;
    const entry = layout.sections[band.first + index];
    const inX = Math.floor(x - entry.x), inY = Math.floor(y - entry.y);
    if (inX < 0 || inY < 0 || inX >= SIDE || inY >= SIDE) return -1;
    return entry.section * SECTION + frameOfPlace[inY * SIDE + inX];
  }
  return -1;
}

// A chromosome cut from its picture, turned upright, on nothing: what a karyogram shows.

/** Draws the chromosome of `picture` (loaded) into a new canvas: its ground left out, turned by `angle` degrees (null:
 *  so that its long axis stands), `scale` times as large. Bright chromosomes on dark ground come out dark, as in print.
 *  `cut`: its outline in pixels of the frame, and where the picture begins in it; null: the largest object is taken. */
export function portrait(picture, angle, scale, cut = null) {
  const [width, height] = [picture.naturalWidth, picture.naturalHeight];
  const piece = new OffscreenCanvas(width, height);
  const paint = piece.getContext("2d", { willReadFrequently: true });
  paint.drawImage(picture, 0, 0);
  const pixels = paint.getImageData(0, 0, width, height);
  const grey = new Float32Array(width * height);
  for (let i = 0; i < grey.length; i += 1) grey[i] = pixels.data[4 * i];

  const ground = median(edge(grey, width, height));
  const [low, high] = grey.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [255, 0]);
  const bright = high - ground > ground - low;
  // How far a pixel stands out from the ground, 0 to 1.
  const reach = Math.max(1, bright ? high - ground : ground - low);
  const depth = grey.map((v) => Math.max(0, (bright ? v - ground : ground - v) / reach));
  const cover = cut && covered(cut, width, height);
  const body = cover ? cover.map((c) => (c > 0.5 ? 1 : 0)) : largest(depth.map((d) => (d > 0.22 ? 1 : 0)), width, height);

  const turn = angle === null ? standing(body, width) : (angle * Math.PI) / 180;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const i = y * width + x;
      const share = cover ? cover[i] : nearness(body, x, y, width, height);
      // Ground becomes white; the tones of the body keep their steps.
      const tone = bright ? 255 * (1 - 0.85 * depth[i]) : Math.min(255, (grey[i] / Math.max(1, ground)) * 255);
      pixels.data.fill(tone, 4 * i, 4 * i + 3);
      pixels.data[4 * i + 3] = 255 * share;
      if (!body[i]) continue;
      const [dx, dy] = [x + 0.5 - width / 2, y + 0.5 - height / 2];
      const [tx, ty] = [dx * cos - dy * sin, dx * sin + dy * cos];
      box[0] = Math.min(box[0], tx);
      box[1] = Math.min(box[1], ty);
      box[2] = Math.max(box[2], tx);
      box[3] = Math.max(box[3], ty);
    }
  }
  paint.putImageData(pixels, 0, 0);

  const margin = 2;
  const empty = box[0] > box[2];
  const [left, top, right, bottom] = empty ? [-width / 2, -height / 2, width / 2, height / 2] : box;
  const sharp = 2; // for screens with fine pixels
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil((right - left + 2 * margin) * scale * sharp);
  canvas.height = Math.ceil((bottom - top + 2 * margin) * scale * sharp);
  canvas.style.width = `${canvas.width / sharp}px`;
  canvas.style.height = `${canvas.height / sharp}px`;
  const out = canvas.getContext("2d");
  out.imageSmoothingQuality = "high";
  out.scale(scale * sharp, scale * sharp);
  out.translate(margin - left, margin - top);
  out.rotate(turn);
  out.drawImage(piece, -width / 2, -height / 2);
  return canvas;
}

function edge(grey, width, height) {
  return grey.filter((_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  });
}

function median(values) {
  return Float32Array.from(values).sort()[values.length >> 1] ?? 255;
}

/** How much of each pixel lies inside an outline, 0 to 1. */
function covered({ rings, left, top }, width, height) {
  const paint = new OffscreenCanvas(width, height).getContext("2d");
  for (const ring of rings) {
    ring.forEach(([x, y], k) => (k === 0 ? paint.moveTo(x - left, y - top) : paint.lineTo(x - left, y - top)));
    paint.closePath();
  }
  paint.fill("evenodd");
  const { data } = paint.getImageData(0, 0, width, height);
  return Float32Array.from({ length: width * height }, (_, i) => data[4 * i + 3] / 255);
}

/** The largest connected piece of a mask: neighbours that reach into the picture are left out. */
function largest(mask, width, height) {
  const piece = new Int32Array(mask.length);
  let [best, bestSize, pieces] = [0, 0, 0];
  for (let start = 0; start < mask.length; start += 1) {
    if (!mask[start] || piece[start]) continue;
    pieces += 1;
    const stack = [start];
    piece[start] = pieces;
    let size = 0;
    while (stack.length > 0) {
      const i = stack.pop();
      size += 1;
      const x = i % width;
      for (const next of [x > 0 && i - 1, x < width - 1 && i + 1, i - width, i + width]) {
        if (next === false || next < 0 || next >= mask.length || !mask[next] || piece[next]) continue;
        piece[next] = pieces;
        stack.push(next);
      }
    }
    if (size > bestSize) [best, bestSize] = [pieces, size];
  }
  return piece.map((p) => (p === best && best > 0 ? 1 : 0));
}

/** The turn, in radians, that makes the long axis of a body stand: from its second moments. */
function standing(body, width) {
  const sum = { n: 0, x: 0, y: 0, xx: 0, xy: 0, yy: 0 };
  body.forEach((inside, i) => {
    if (!inside) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    sum.n += 1;
    sum.x += x;
    sum.y += y;
    sum.xx += x * x;
    sum.xy += x * y;
    sum.yy += y * y;
  });
  if (sum.n === 0) return 0;
  const xx = sum.xx / sum.n - (sum.x / sum.n) ** 2;
  const yy = sum.yy / sum.n - (sum.y / sum.n) ** 2;
  const xy = sum.xy / sum.n - (sum.x * sum.y) / sum.n ** 2;
  return Math.PI / 2 - Math.atan2(2 * xy, xx - yy) / 2;
}

/** Share of the pixels around (x, y) that belong to the body: a soft edge two pixels wide. */
function nearness(body, x, y, width, height) {
  if (body[y * width + x]) return 1;
  let near = 0;
  for (let dy = -2; dy <= 2; dy += 1) {
    for (let dx = -2; dx <= 2; dx += 1) {
      const [nx, ny] = [x + dx, y + dy];
      if (nx >= 0 && ny >= 0 && nx < width && ny < height) near += body[ny * width + nx];
    }
  }
  return Math.min(1, near / 8);
}

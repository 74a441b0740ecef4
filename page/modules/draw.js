/** The view of a picture and its nuclei: zoom, move, and draw what is seen. */

const CLOSEST = 16; // pixels of the screen for one of the picture
const STEP = 1.25, MOVE = 60; // what a key zooms by, and moves by in pixels of the screen

export class View {
  /** @param {HTMLCanvasElement} canvas shows the picture, and takes mouse, touch and keys */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.picture = this.overlay = null;
    this.showsOutlines = true;
    this.zoom = 1; // pixels of the screen for one of the picture
    this.left = this.top = 0; // what of the picture stands in the view's corner
    this.pointers = new Map();
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.listen();
  }

  /** Show another picture, whole. */
  show(picture) {
    this.picture?.close();
    this.picture = picture;
    this.showOverlay(null);
    this.fit();
  }

  /** Show outlines over the picture, an ImageBitmap of its size; null for none. */
  showOverlay(overlay) {
    this.overlay?.close();
    this.overlay = overlay;
    this.draw();
  }

  /** Show the whole picture. */
  fit() {
    const ratio = devicePixelRatio, { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    if (this.picture) {
      this.zoom = this.widest();
      this.left = (this.picture.width - this.canvas.width / this.zoom) / 2;
      this.top = (this.picture.height - this.canvas.height / this.zoom) / 2;
    }
    this.draw();
  }

  /** The zoom at which the whole picture is seen. */
  widest() {
    return Math.min(this.canvas.width / this.picture.width, this.canvas.height / this.picture.height);
  }

  /** Zoom by a factor about a point of the canvas, its middle by default. */
  zoomBy(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    if (!this.picture) return;
    const zoom = Math.min(Math.max(this.zoom * factor, Math.min(1, this.widest())), Math.max(CLOSEST, this.widest()));
    this.left += x / this.zoom - x / zoom;
    this.top += y / this.zoom - y / zoom;
    this.zoom = zoom;
    this.moveBy(0, 0);
  }

  /** Move the picture by so many pixels of the canvas; its middle stays within the view. */
  moveBy(x, y) {
    if (!this.picture) return;
    const within = (start, length, seen) => Math.min(Math.max(start, -seen / 2), length - seen / 2);
    this.left = within(this.left - x / this.zoom, this.picture.width, this.canvas.width / this.zoom);
    this.top = within(this.top - y / this.zoom, this.picture.height, this.canvas.height / this.zoom);
    this.draw();
  }

  /** Draw once, when the browser next does. */
  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      const { context, canvas, zoom } = this;
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      if (!this.picture) return;
      context.imageSmoothingEnabled = zoom < 2;
      // Only what is seen is drawn.
      const left = Math.max(0, Math.floor(this.left)), top = Math.max(0, Math.floor(this.top));
      const width = Math.min(this.picture.width, Math.ceil(this.left + canvas.width / zoom)) - left;
      const height = Math.min(this.picture.height, Math.ceil(this.top + canvas.height / zoom)) - top;
      if (width <= 0 || height <= 0) return;
      const place = [(left - this.left) * zoom, (top - this.top) * zoom, width * zoom, height * zoom];
      context.fillStyle = "white"; // glass, under what is transparent
      context.fillRect(...place);
      for (const layer of [this.picture, this.showsOutlines && this.overlay]) {
        if (layer) context.drawImage(layer, left, top, width, height, ...place);
      }
    });
  }

  listen() {
    const { canvas, pointers } = this;
    const place = ({ offsetX, offsetY }) => [offsetX * devicePixelRatio, offsetY * devicePixelRatio];
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 500), ...place(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return; // the main one alone: of others, a context menu may keep that they were let go
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const [x, y] = place(event), [other] = [...pointers].filter(([id]) => id !== event.pointerId);
      const fingers = other ? 2 : 1;
      this.moveBy((x - before[0]) / fingers, (y - before[1]) / fingers);
      if (other) { // the picture goes with the middle of two fingers, and zooms about it
        const [, [restX, restY]] = other, apart = ([x, y]) => Math.hypot(x - restX, y - restY);
        this.zoomBy(apart([x, y]) / Math.max(1, apart(before)), (x + restX) / 2, (y + restY) / 2);
      }
      pointers.set(event.pointerId, [x, y]);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, ({ pointerId }) => pointers.delete(pointerId));
    canvas.addEventListener("keydown", (event) => {
      const act = {
        ArrowLeft: () => this.moveBy(MOVE, 0), ArrowRight: () => this.moveBy(-MOVE, 0),
        ArrowUp: () => this.moveBy(0, MOVE), ArrowDown: () => this.moveBy(0, -MOVE),
        "+": () => this.zoomBy(STEP), "=": () => this.zoomBy(STEP), "-": () => this.zoomBy(1 / STEP), 0: () => this.fit(),
      }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
  }
}

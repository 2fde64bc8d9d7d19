/*
 * Runs beside the page and records, in window.recorded, when keys went down and which pixels were in the video.
 * The browser chooses the video's picture at the start of an animation frame and shows it from the next one on. The
 * pixels are read a little after the start, because the choice is made on another thread.
 */
([width, height]) => {
  const SETTLED_MS = 12;
  const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  const video = document.querySelector("video");
  const recorded = { pressed: [], readings: [], intervals: [] };
  let last = "";
  let frameMs = 0;
  let readMs = 0;
  const onKey = (event) => event.repeat || recorded.pressed.push(event.timeStamp);
  const greenOf = ({ data }) => {
    const green = new Uint8Array(width * height); // a loop: anything shorter takes milliseconds
    for (let pixel = 0; pixel < green.length; pixel++) green[pixel] = data[4 * pixel + 1];
    return green;
  };
  const read = () => {
    const left = -Math.floor((video.videoWidth - width) / 2);
    const top = -Math.floor((video.videoHeight - height) / 2);
    canvas.drawImage(video, left, top);
    const pixels = btoa(String.fromCharCode(...greenOf(canvas.getImageData(0, 0, width, height))));
    if (pixels !== last) recorded.readings.push([readMs, frameMs, pixels]);
    last = pixels;
    readMs = frameMs;
  };
  const begin = (nowMs) => {
    requestAnimationFrame(begin);
    recorded.intervals.push(nowMs - frameMs);
    frameMs = nowMs;
    setTimeout(read, SETTLED_MS);
  };
  addEventListener("keydown", onKey, { capture: true });
  requestAnimationFrame(begin);
  window.recorded = recorded;
}

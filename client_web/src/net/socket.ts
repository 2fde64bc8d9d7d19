/** The browser's WebSocket behind the connection's interface. */
import { SUBPROTOCOL } from "./protocol";

export interface SocketEvents {
  opened(): void;
  received(frame: ArrayBuffer | string): void;
  closed(code: number): void;
}

export interface Socket {
  send(frame: Uint8Array<ArrayBuffer>): void;
  close(code: number): void;
}

/** What protocol 1 did not have at first. The server sends it only to a client that names it. */
const FIELDS =
  "taken_as,latch,revision,received,sights,resume_in,yielded,places,snapshots,times_real_time,wanted,watchers,recording,rights,unsaved,seated,missing_chunks,idle";
const FIELDS_OF_A_WATCHER = "resume_in,times_real_time";

/** `/ws` next to the page, so that the page also works below a path. */
export function serverUrl(page: string): string {
  return socketUrl(page, FIELDS);
}

/** The same for somebody who watches. */
export function watchUrl(page: string): string {
  return socketUrl(page, FIELDS_OF_A_WATCHER);
}

function socketUrl(page: string, fields: string): string {
  const url = new URL("ws", page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ fields }).toString();
  url.hash = "";
  return url.href;
}

export function openWebSocket(url: string, events: SocketEvents): Socket {
  const socket = new WebSocket(url, [SUBPROTOCOL]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => events.opened();
  socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => events.received(event.data);
  socket.onclose = (event) => events.closed(event.code);
  return {
    send: (frame) => socket.readyState === WebSocket.OPEN && socket.send(frame),
    close: (code) => socket.close(code),
  };
}

import { defineConfig } from "vitest/config";

// The Python server that `npm run dev` proxies to; it serves the built page itself.
const SERVER = "http://127.0.0.1:8000";

export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    outDir: "../server/worldplay/web/page", // in the Python package, which serves it
    emptyOutDir: true,
  },
  server: { proxy: { "/ws": { target: SERVER, ws: true } } },
  test: { environment: "node", include: ["tests/**/*.test.ts"] },
});

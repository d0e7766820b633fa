import { defineConfig } from "vite";

// The bundle is committed and served under `default-src 'self'`: nothing may be inlined, and the
// same sources must give the same bytes (content hashes, no time stamps, no source maps).
export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    outDir: "../phenix/server/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": process.env.PHENIX_API ?? "http://127.0.0.1:8600" } },
});

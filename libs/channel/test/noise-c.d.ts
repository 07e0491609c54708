declare module 'noise-c.wasm';

/** What could not be shown, and why. */
export interface PageFailure {
  readonly status: number;
  readonly code: string;
  readonly text: string;
}

/** How a page of ours is shown: our script tells the shell where it is. */
export interface PageFrame {
  readonly shell: string;
  readonly scriptHash: string;
  /** Markup of our script. */
  readonly start: string;
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem 1.3rem;color:#14212e;background:#f5f8fb}
h1{font-size:1.25rem}code{color:#5b6b7b}
@media(prefers-color-scheme:dark){body{color:#e6edf4;background:#10161d}code{color:#9fb0c0}}`;

/** A page of ours in place of one that could not be had; it runs no script but ours, and loads nothing. */
export function errorPage({ status, code, text }: PageFailure, { shell, scriptHash, start }: PageFrame): Response {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  const body = `<!doctype html>${start}<html lang="en"><head><meta charset="utf-8"><title>Not shown</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>${STYLE}</style></head>
<body><main><h1>This page cannot be shown</h1><p>${escapeText(sentence)}.</p><p><code>${escapeText(code)}</code></p></main></body></html>`;
  const policy = `default-src 'none'; script-src ${scriptHash}; style-src 'unsafe-inline'; frame-ancestors ${shell}`;
  const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy };
  return new Response(body, { status, headers });
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

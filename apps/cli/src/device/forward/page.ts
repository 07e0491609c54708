import type { Answer } from './refusal.ts';

/** What people read first, by status; what is not here went wrong behind the gateway. */
const HEADS: Readonly<Record<number, string>> = {
  400: 'This address cannot be asked for',
  401: 'You are not signed in',
  403: 'You may not open this',
  404: 'This is no resource of yours',
  407: 'A password is needed',
  421: 'This connection is for another address',
  503: 'The gateway cannot be reached',
  504: 'The server takes too long',
};

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}' +
  'code{padding:.1em .3em;border:1px solid;border-radius:.3em}small{opacity:.7}';

/** An answer of the forward proxy as a page without any script. */
export function refusalPage({ status, fields, text, next }: Answer): string {
  const head = HEADS[status] ?? 'The server behind the gateway does not work';
  const code = fields['sallyport-error'];
  const parts = [
    `<h1>${head}</h1>`,
    `<p>${escaped(text)}</p>`,
    next === undefined ? '' : `<p>Next: <code>${escaped(next)}</code></p>`,
    `<p><small>Sallyport on this machine${code === undefined ? '' : `, ${escaped(code)}`}</small></p>`,
  ];
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${head}</title><style>${STYLE}</style><main>${parts.join('\n')}</main></html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}

import type { LinkedApp, ReleaseRow } from '@sallyport/access';
import { renderSVG } from 'uqr';

/** What a package is called as a file, and what it is, by the system that installs it. */
export const INSTALL_FILES: Readonly<Record<string, { readonly name: string; readonly type: string }>> = {
  android: { name: 'app.apk', type: 'application/vnd.android.package-archive' },
  ios: { name: 'app.ipa', type: 'application/octet-stream' },
  browser: { name: 'app.zip', type: 'application/zip' },
};

const SYSTEMS: Readonly<Record<string, string>> = { android: 'Android', ios: 'iPhone and iPad', browser: 'the web' };

const STYLE = `
:root{color-scheme:light dark;--ink:#14212e;--soft:#5b6b7b;--accent:#0b6bcb;--on:#fff;--paper:#fff;--ground:#f5f8fb}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf4;--soft:#a3b3c2;--accent:#6cb2f5;--on:#08131e;--paper:#1a2430;--ground:#10161d}}
*{box-sizing:border-box}body{margin:0;padding:1.2rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
main{max-width:26rem;margin:0 auto;display:grid;gap:1rem}h1{font-size:1.5rem;margin:.5rem 0 0}p{margin:0;color:var(--soft);overflow-wrap:anywhere}
a.do,button{display:block;width:100%;font:inherit;font-weight:600;text-align:center;padding:.8rem 1rem;border:0;border-radius:.8rem;background:var(--accent);color:var(--on);text-decoration:none;cursor:pointer}
:focus-visible{outline:3px solid #4c9be8;outline-offset:2px}.qr{background:#fff;border-radius:1rem;padding:.6rem;max-width:15rem}.qr svg{display:block;width:100%;height:auto}`;

/** A page of its own, without a script. Texts are texts, never markup. */
function page(title: string, parts: readonly string[]): string {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">`;
  const body = `<main><h1>${escaped(title)}</h1>${parts.join('')}</main>`;
  return `<!doctype html><html lang="en"><head>${head}<title>${escaped(title)}</title><style>${STYLE}</style></head><body>${body}</body></html>`;
}

/** Puts a text where markup is expected. */
function escaped(text: string): string {
  const named: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => named[character]!);
}

function paragraph(text: string): string {
  return `<p>${escaped(text)}</p>`;
}

/** What whoever opens a link sees first: nothing is used up yet, be it a person or a program that looks at links in mails. */
export function offerPage({ app, releases }: LinkedApp, url: string): string {
  const systems = releases.map(({ package: { os, version } }) => `${SYSTEMS[os] ?? os} (${version})`).join(', ');
  if (releases.length === 0) return page(app.title, [paragraph('There is no version of this app to install yet.')]);
  const code = renderSVG(url, { ecc: 'L', border: 2 });
  return page(app.title, [
    paragraph(`For ${systems}. This link is good once: open it on the phone that is to have the app.`),
    '<form method="post"><button>Install on this phone</button></form>',
    paragraph('On a computer? Point the camera of your phone here:'),
    `<div class="qr" role="img" aria-label="QR code of this link">${code}</div>`,
  ]);
}

/** Where the packages are, for who has used the link. */
export function readyPage({ app, releases }: LinkedApp, base: string): string {
  const links = releases.map((release) => {
    const { os, version, bytes } = release.package;
    const words = `${SYSTEMS[os] ?? os}: get ${version} (${(bytes / 1_000_000).toFixed(1)} MB)`;
    return `<a class="do" href="${escaped(installUrl(release, base))}">${escaped(words)}</a>`;
  });
  return page(app.title, [
    ...links,
    paragraph(
      'Android asks once whether your browser may install apps. This page is good for an hour; the link was good once.',
    ),
    paragraph('Then open the app, and enrol it with the link or code that you were given for that.'),
  ]);
}

/** iOS installs by a manifest that its own service reads; all others get a file. */
function installUrl({ package: { os } }: ReleaseRow, base: string): string {
  if (os === 'ios')
    return `itms-services://?action=download-manifest&url=${encodeURIComponent(`${base}/manifest.plist`)}`;
  return `${base}/${INSTALL_FILES[os]?.name ?? 'app.bin'}`;
}

/** Said for a link that was used, is over, or never was: which of them is nobody's business. */
export function gonePage(): string {
  return page('This link is not good any more', [
    paragraph('Each link is good once, and for a day. Ask whoever sent it to you for another one.'),
  ]);
}

/** What iOS reads before it installs an app over the air (Apple, "Distribute proprietary in-house apps"). */
export function iosManifest({ app }: LinkedApp, release: ReleaseRow, base: string): string {
  const entry = (key: string, value: string): string => `<key>${key}</key><string>${escaped(value)}</string>`;
  const asset = `<dict>${entry('kind', 'software-package')}${entry('url', `${base}/${INSTALL_FILES['ios']!.name}`)}</dict>`;
  const facts = [
    entry('bundle-identifier', app.id),
    entry('bundle-version', release.package.version),
    entry('kind', 'software'),
    entry('title', app.title),
  ].join('');
  const item = `<dict><key>assets</key><array>${asset}</array><key>metadata</key><dict>${facts}</dict></dict>`;
  return `<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd"><plist version="1.0"><dict><key>items</key><array>${item}</array></dict></plist>`;
}

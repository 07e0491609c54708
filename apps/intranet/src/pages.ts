/** A page of the sample intranet. Everything a browser needs comes from this server. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${title} · Harbour &amp; Sons intranet</title><link rel="icon" href="/images/logo.svg"><link rel="stylesheet" href="/style.css"></head>
<body><header><img src="/images/logo.svg" alt="" width="40" height="40"><strong>Harbour &amp; Sons</strong>
<nav><a href="/">Home</a> <a href="/news">News</a> <a href="/files">Files</a> <a href="/talk">Chat</a> <a href="/desk">Desk</a> <a href="/berths">Berths</a> <a href="/whoami">Who am I</a></nav></header>
<main><h1>${title}</h1>${body}</main></body></html>`;
}

/** Text made safe for HTML. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

export const HOME: string = page(
  'Good morning',
  `<img class="wide" src="/images/harbour.svg" alt="The harbour at dawn">
<p>This page lives on a server that no phone can reach. You see it because your session is vouched for.</p>
<ul class="cards"><li><a href="/news">Storm warning for the weekend</a></li>
<li><a href="/desk">Harbour desk: sign in and ask for a berth</a></li><li><a href="/berths">All berths, in one large table</a></li>
<li><a href="/files">Berth plan and price lists</a></li><li><a href="/folder">A folder for your file manager (WebDAV)</a></li><li><a href="/whoami">Who the gateway says you are</a></li></ul>`,
);

export const NEWS: string = page(
  'News',
  `<article><h2>Storm warning for the weekend</h2><p>All boats at the north pier move to the inner basin by Friday noon.</p></article>
<article><h2>New crane</h2><p>The new crane is certified. Bookings open on Monday.</p></article>`,
);

/** Below the list of files: one goes up as it is, with a bar that shows how far. */
export const UPLOAD = `<form id="upload"><label>Upload a file <input type="file" id="file" disabled></label>
<progress max="1" value="0" hidden aria-label="Upload"></progress><p role="status" id="upload-state"></p></form>
<script src="/upload.js"></script>`;

export const CHAT: string = page(
  'Chat',
  `<ul id="messages" aria-live="polite"></ul>
<form id="say"><label>Message <input id="message" autocomplete="off"></label> <button>Send</button></form>
<p role="status" id="chat-state">Connecting…</p><script src="/chat.js"></script>`,
);

export const DAV_PAGE: string = page(
  'Folder',
  `<p>At <code>/dav/</code> lies a WebDAV folder: list, upload, rename, copy and lock with any client of yours.</p>
<pre>rclone lsf :webdav: --webdav-url http://intranet.example/dav/
cadaver http://intranet.example/dav/
curl -X PROPFIND -H 'Depth: 1' http://intranet.example/dav/</pre>
<p class="quiet">Set the proxy of the client to what <code>sallyport device forward</code> prints.</p>`,
);

export const SCRIPTS: Readonly<Record<string, string>> = {
  'upload.js': `const state = document.querySelector('#upload-state'), bar = document.querySelector('progress'), input = document.querySelector('#file');
input.disabled = false;
input.addEventListener('change', ({ target }) => {
  const file = target.files[0];
  if (!file) return;
  const request = new XMLHttpRequest();
  request.open('PUT', '/files/' + encodeURIComponent(file.name));
  request.upload.onprogress = ({ loaded, total }) => { bar.hidden = false; bar.value = loaded / total; };
  request.onload = () => request.status === 200 ? location.reload() : state.textContent = 'The server answered ' + request.status;
  request.onerror = () => state.textContent = 'The file could not be sent';
  request.send(file);
});`,
  'desk.js': `const state = document.querySelector('#desk-state');
const socket = new WebSocket('/desk/live');
socket.onopen = () => state.textContent = 'Live';
socket.onclose = () => state.textContent = 'Not live: load the page again';
socket.onmessage = ({ data }) => {
  const { boat, metres, from, by } = JSON.parse(data), row = document.createElement('tr');
  for (const text of [boat, metres, from, by]) row.append(Object.assign(document.createElement('td'), { textContent: text }));
  document.querySelector('#wishes tbody').prepend(row);
};`,
  'chat.js': `const state = document.querySelector('#chat-state'), list = document.querySelector('#messages');
const socket = new WebSocket('/chat');
socket.onopen = () => state.textContent = '';
socket.onclose = () => state.textContent = 'The chat was cut off: load the page again';
socket.onmessage = ({ data }) => list.append(Object.assign(document.createElement('li'), { textContent: data }));
document.querySelector('#say').addEventListener('submit', (event) => {
  event.preventDefault();
  const input = document.querySelector('#message');
  if (input.value !== '') socket.send(input.value);
  input.value = '';
});`,
};

export const STYLE = `a{color:#12579c}body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1d2b3a;background:#f4f7fa}
header{display:flex;gap:.8rem;align-items:center;padding:.8rem 1.2rem;background:#12395b;color:#fff}
header{flex-wrap:wrap}nav a{color:#bfe0ff;margin-right:.6rem;text-decoration:none;display:inline-block;padding:.2rem 0}
#messages{list-style:none;padding:0;display:grid;gap:.4rem}#messages li{background:#fff;border-radius:10px;padding:.4rem .8rem;width:fit-content}
input,button{font:inherit;max-width:100%;padding:.4rem .6rem}main{max-width:46rem;margin:0 auto;padding:1.2rem}
h1{margin:.2rem 0 1rem}.wide{width:100%;border-radius:12px}.cards{list-style:none;padding:0;display:grid;gap:.6rem}
.cards li,article{background:#fff;border-radius:10px;padding:.8rem 1rem;box-shadow:0 1px 3px #0002;margin-bottom:.6rem}
.sheet{display:grid;gap:.8rem;background:#fff;border-radius:10px;padding:1rem;box-shadow:0 1px 3px #0002;margin:1rem 0}.sheet h2{margin:0}
.sheet label{display:grid;gap:.2rem}.sheet input{width:100%;box-sizing:border-box;border:1px solid #b9c6d2;border-radius:8px}
button{border:0;border-radius:8px;background:#12395b;color:#fff;padding:.6rem 1rem;justify-self:start}button.plain{background:#e3e9ef;color:#12395b}
.problem{background:#fdecea;color:#8a1c12;border-radius:8px;padding:.6rem .8rem}.quiet{color:#51606e}
pre{overflow:auto;background:#fff;border-radius:10px;padding:.8rem}.wide-table{overflow:auto;border-radius:10px;box-shadow:0 1px 3px #0002;background:#fff}
.wide-table.tall{max-height:70vh}.wide-table td,.wide-table th{white-space:nowrap}.tall thead th{position:sticky;top:0;background:#e3e9ef;z-index:1}
.tall tbody th{position:sticky;left:0;background:#fff}.tall thead th:first-child{left:0;z-index:2}
:focus-visible{outline:3px solid #2f80c2;outline-offset:2px}
table{width:100%;border-collapse:collapse;background:#fff}td,th{padding:.5rem;border-bottom:1px solid #e3e9ef;text-align:left}`;

export const IMAGES: Readonly<Record<string, string>> = {
  'logo.svg': `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><circle cx="20" cy="20" r="19" fill="#2f80c2"/><path d="M20 7v22M11 23c0 6 4 9 9 9s9-3 9-9M15 13h10" stroke="#fff" stroke-width="3" fill="none" stroke-linecap="round"/></svg>`,
  'harbour.svg': `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 220"><defs><linearGradient id="s" x2="0" y2="1"><stop stop-color="#f9b27c"/><stop offset="1" stop-color="#fbe3c0"/></linearGradient></defs><rect width="640" height="140" fill="url(#s)"/><circle cx="470" cy="120" r="46" fill="#fff3d6"/><rect y="136" width="640" height="84" fill="#2c6e91"/><path d="M0 150h640M0 170h640M0 192h640" stroke="#4d8fb0" stroke-width="3" stroke-dasharray="60 34"/><path d="M90 138h120l-18 26h-84z" fill="#12395b"/><path d="M146 136V58l46 66z" fill="#fff"/><path d="M140 136V74l-34 50z" fill="#e8eef4"/><path d="M330 140h90l-12 18h-66z" fill="#7a2f2f"/><path d="M372 138V92l26 40z" fill="#fff"/><path d="M520 136v-50h14v50zm-6-50h26l-13-16z" fill="#b23a3a"/></svg>`,
};

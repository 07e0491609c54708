import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { DeskSession, DeskSessions } from './desk-sessions.ts';
import { escapeHtml, page } from './pages.ts';

const HTML = 'text/html; charset=utf-8';
/** The word of the sample: its page says it. */
const WORD = 'ahoy';
const MAX_FORM_BYTES = 16_384;
const KEPT_WISHES = 100;

/** Somebody wants a berth. */
export interface Wish {
  readonly boat: string;
  readonly metres: string;
  readonly from: string;
  readonly by: string;
}

/** The harbour desk: signed in to by a form and a cookie, as most applications are. `told` hears of each wish. */
export function addDesk(service: FastifyInstance, sessions: DeskSessions, told: (wish: Wish) => void): void {
  const wishes: Wish[] = [];
  const whoIs = ({ headers }: FastifyRequest): DeskSession | undefined => sessions.find(headers.cookie);
  service.get('/sign-in', (_request, reply) => sendSignIn(reply, ''));
  service.post('/sign-in', async (request, reply) => {
    const form = await readForm(request.raw);
    const name = (form.get('name') ?? '').trim().slice(0, 40);
    if (name === '' || form.get('word') !== WORD) return sendSignIn(reply.code(403), 'The name or the word is wrong.');
    return reply.header('set-cookie', sessions.begin(name)).redirect('/desk', 303);
  });
  service.post('/sign-out', (request, reply) =>
    reply.header('set-cookie', sessions.end(request.headers.cookie)).redirect('/sign-in', 303),
  );
  service.get('/desk', (request, reply) => {
    const session = whoIs(request);
    if (!session) return reply.redirect('/sign-in', 303);
    return reply.header('cache-control', 'no-store').type(HTML).send(deskPage(session, wishes));
  });
  service.post('/desk', async (request, reply) => {
    const session = whoIs(request);
    if (!session) return reply.redirect('/sign-in', 303);
    const form = await readForm(request.raw);
    const [boat = '', metres = '', from = ''] = ['boat', 'metres', 'from'].map((name) =>
      (form.get(name) ?? '').slice(0, 40),
    );
    if (boat.trim() === '')
      return reply
        .code(400)
        .type(HTML)
        .send(deskPage(session, wishes, 'The boat needs a name.'));
    const wish = { boat, metres, from, by: session.name };
    wishes.unshift(wish);
    wishes.length = Math.min(wishes.length, KEPT_WISHES);
    told(wish);
    return reply.redirect('/desk', 303);
  });
}

function sendSignIn(reply: FastifyReply, problem: string): FastifyReply {
  const said = problem === '' ? '' : `<p role="alert" class="problem">${problem}</p>`;
  return reply.type(HTML).send(
    page(
      'Sign in',
      `${said}<form method="post" action="/sign-in" class="sheet">
<label>Your name <input name="name" required autocomplete="username" maxlength="40"></label>
<label>Word of the day <input name="word" type="password" required autocomplete="current-password"></label>
<button>Sign in</button></form><p class="quiet">This is a sample: any name, and the word is “${WORD}”.</p>`,
    ),
  );
}

function deskPage({ name }: DeskSession, wishes: readonly Wish[], problem = ''): string {
  const said = problem === '' ? '' : `<p role="alert" class="problem">${problem}</p>`;
  const rows = wishes.map((wish) => `<tr>${cells(wish).join('')}</tr>`);
  return page(
    'Harbour desk',
    `<p>Signed in as <strong>${escapeHtml(name)}</strong>. <span role="status" id="desk-state" class="quiet"></span></p>
<form method="post" action="/sign-out"><button class="plain">Sign out</button></form>
${said}<form method="post" action="/desk" class="sheet"><h2>A berth, please</h2>
<label>Boat <input name="boat" required maxlength="40"></label>
<label>Length in metres <input name="metres" type="number" min="1" max="400" inputmode="numeric"></label>
<label>From <input name="from" type="date"></label><button>Ask for it</button></form>
<h2>Asked for</h2><div class="wide-table" tabindex="0" role="region" aria-label="Berths that were asked for"><table id="wishes"><thead><tr><th>Boat</th><th>Metres</th><th>From</th><th>By</th></tr></thead>
<tbody>${rows.join('')}</tbody></table></div><script src="/desk.js"></script>`,
  );
}

function cells({ boat, metres, from, by }: Wish): string[] {
  return [boat, metres, from, by].map((text) => `<td>${escapeHtml(text)}</td>`);
}

async function readForm(content: Readable): Promise<URLSearchParams> {
  let text = '';
  for await (const part of content) {
    text += String(part);
    if (text.length > MAX_FORM_BYTES) throw Object.assign(new Error('the form is too long'), { statusCode: 413 });
  }
  return new URLSearchParams(text);
}

import type { Application } from '../application.ts';
import { datasette, streamlit } from './data.ts';
import { radicale, wsgidav } from './dav.ts';
import { git } from './git.ts';
import { grpc } from './grpc.ts';
import { imap, smtp, ssh } from './hosts.ts';
import { jupyter } from './jupyter.ts';
import { npm, pypi } from './packages.ts';
import { cookies, ntlm, slow } from './signing-in.ts';
import { postgres, s3 } from './storage.ts';

/** All of them, in the order of the table. */
export const APPLICATIONS: readonly Application[] = [
  jupyter,
  radicale,
  wsgidav,
  streamlit,
  datasette,
  git,
  s3,
  npm,
  pypi,
  cookies,
  ntlm,
  slow,
  ssh,
  postgres,
  smtp,
  imap,
  grpc,
];

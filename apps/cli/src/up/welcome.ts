import { styleText } from 'node:util';
import { counted } from '../output.ts';
import type { QuickStart } from './seed.ts';

/** What is up, and for whom. */
interface Up {
  /** Undefined when the user of the quick start is out, or removed. */
  readonly link: string | undefined;
  /** What an earlier start left. */
  readonly kept: { readonly installations: number; readonly sessions: number };
  readonly quickStart: Pick<QuickStart, 'user' | 'password'>;
  /** Address of the phone page. */
  readonly phone: string;
}

/** What `up` says when everything stands. README.md shows it. */
export function welcome({ link, kept, quickStart, phone }: Up): string {
  const bold = (text: string): string => styleText('bold', text);
  const again =
    kept.installations > 0
      ? `\n  still there: ${counted(kept.installations, 'installation')} and ${counted(kept.sessions, 'live session')}; enrolled browsers just open ${phone}\n`
      : '';
  const first = link
    ? `${bold('1.')} Open this link in a browser, it plays the phone:

     ${link}`
    : `${bold('1.')} ${quickStart.user} is out. Let them in, and give them a link; as the operator, in another terminal:

     npm run sallyport -- user enable ${quickStart.user}
     npm run sallyport -- code new ${quickStart.user}`;
  return `
${bold('Sallyport is up.')}
${again}
  ${first}

  ${bold('2.')} Sign in:   user ${bold(quickStart.user)}   password ${bold(quickStart.password)}

  ${bold('3.')} Look at it as the operator, in another terminal:

     npm run sallyport -- status
     npm run sallyport -- session list

Ctrl-C stops everything; the next start goes on where it was.
`;
}

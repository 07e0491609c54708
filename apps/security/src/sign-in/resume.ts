import { type AccessContext, type DirectorySignIn, type InstallationRow, PURPOSES } from '@sallyport/access';
import { decodeText, encodeText } from '@sallyport/channel';

/** What a proof of an enrolment is made and read with. */
interface ResumeParts {
  readonly access: AccessContext;
  readonly wallMs: () => number;
}

/** How long an enrolment's proof of who the user is may open the first session, ms. */
const RESUME_TTL_MS = 5 * 60_000;

interface Resume {
  readonly installation: string;
  /** Known to the installation until it is used. */
  readonly id: string;
  readonly at: number;
  readonly signIn?: DirectorySignIn;
}

/**
 * A credential for the first session after an enrolment: a code of an OpenID provider is used up by then. Only the device
 * that enrolled can use it, since the session needs its keys as well. Good for one session, and until the user's password
 * or second factor changes.
 */
export function sealResume(
  { access, wallMs }: ResumeParts,
  { id: installation, resumeId }: InstallationRow,
  signIn: DirectorySignIn | undefined,
): Uint8Array {
  const resume: Resume = { installation, id: resumeId ?? '', at: wallMs(), ...(signIn ? { signIn } : {}) };
  return access.keyring.wrap(encodeText(JSON.stringify(resume)), PURPOSES.resume(access.store.realm));
}

/** What a resume credential says; undefined when it is not good for this installation now. */
export function openResume(
  { access, wallMs }: ResumeParts,
  { id: installation, resumeId }: Pick<InstallationRow, 'id' | 'resumeId'>,
  token: Uint8Array,
): Resume | undefined {
  try {
    const opened = access.keyring.unwrap(token, PURPOSES.resume(access.store.realm));
    const resume = JSON.parse(decodeText(opened)) as Resume;
    const age = wallMs() - resume.at;
    const good = resume.installation === installation && resumeId !== null && resume.id === resumeId;
    return good && Math.abs(age) <= RESUME_TTL_MS ? resume : undefined;
  } catch {
    return undefined;
  }
}

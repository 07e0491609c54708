import type { LoginAttempt, LoginStep } from './answer.ts';
import { answerEnrolment } from './enrolment.ts';
import { answerLogin } from './login.ts';
import type { SignInParts } from './parts.ts';

/** Answers HS3; undefined when the handshake itself fails. */
export type AnswerHs3 = (attempt: LoginAttempt, siteMap: string) => Promise<LoginStep | undefined>;

/** Enrolments and logins, by the role of the handshake. */
export function createSignIn(parts: SignInParts): AnswerHs3 {
  return (attempt, siteMap) =>
    attempt.establish.role === 'enrol'
      ? answerEnrolment(parts, attempt, siteMap)
      : answerLogin(parts, attempt, siteMap);
}

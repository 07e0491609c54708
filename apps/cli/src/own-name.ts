import { userInfo } from 'node:os';

/** Whoever sits at the machine. */
export function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}

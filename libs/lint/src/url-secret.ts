const USER_INFO = /(:\/\/)[^/@\s]*:[^/@\s]*@/;

/** True for a text with a URL that holds a password: lists of processes, logs and whoever is shown the setting would have it, too. */
export function hasSecretInUrl(text: string): boolean {
  return USER_INFO.test(text);
}

/** A text without the name and password of its URL: what is told of a setting goes into logs. */
export function withoutUserInfo(text: string): string {
  return text.replace(USER_INFO, '$1');
}

/**
 * Whether what takes long is shown in its short form: `npm test` says so, unless it is told `TEST_FORM=long`. What is run by its file
 * is long.
 */
export function isShortForm(): boolean {
  const form = process.env['TEST_FORM'] ?? 'long';
  if (form !== 'short' && form !== 'long') throw new Error(`TEST_FORM is short or long, and not ${form}`);
  return form === 'short';
}

/** How often something is done, or with how many, in the form of this run. */
export function inForm({ short, long }: { readonly short: number; readonly long: number }): number {
  return isShortForm() ? short : long;
}

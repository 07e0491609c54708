/** In place of `tldts`, for the cookie library: no cookie of ours is for more than one host, so no suffix has to be known. */
export function getDomain(): null {
  return null;
}

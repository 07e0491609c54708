import type { DrillResult } from './drill.ts';
import type { Promised } from './means.ts';

/** A row of the table. */
interface Row {
  readonly what: string;
  readonly found: string;
  readonly wanted?: string;
  readonly ok?: boolean;
  /** A time: demanded only where it was asked for, because machines are shared. */
  readonly timed?: boolean;
}

/** The table of a drill, and whether everything was as promised; times count only when asked for. */
export function reportOf(
  result: DrillResult,
  { promised, installMs, withTimes }: { promised: Promised; installMs: number | undefined; withTimes: boolean },
): { readonly table: string; readonly ok: boolean } {
  const rows = rowsOf(result, promised, installMs);
  const width = Math.max(...rows.map(({ what }) => what.length));
  const lines = rows.map(({ what, found, wanted, ok = true }) => {
    const cells = [what.padEnd(width), found.padEnd(14), (wanted ?? '').padEnd(10), ok ? '' : 'not reached'];
    return `| ${cells.join(' | ')} |`;
  });
  const head = `| ${''.padEnd(width)} | ${'found'.padEnd(14)} | ${'wanted'.padEnd(10)} |  |`;
  return {
    table: [`${result.means}`, '', head, '|---|---|---|---|', ...lines, ''].join('\n'),
    ok: rows.every(({ ok = true, timed = false }) => ok || (timed && !withTimes)),
  };
}

function rowsOf(result: DrillResult, promised: Promised, installMs: number | undefined): Row[] {
  const { size, logins } = result;
  const inAll = result.allMs + (installMs ?? 0);
  const none = (what: string, count: number): Row => ({ what, found: String(count), wanted: '0', ok: count === 0 });
  return [
    { what: 'users and installations', found: size.installations.toLocaleString('en') },
    { what: 'devices that worked all the time', found: String(size.devices) },
    { what: 'a backup every', found: seconds(size.everyMs) },
    { what: 'taking the backup', found: seconds(result.backupMs) },
    limited('RPO: the oldest acknowledged change that is lost was this old', result.lostMs, promised.lost),
    { what: 'install: clone and npm ci', found: installMs === undefined ? 'not counted' : seconds(installMs) },
    { what: 'restore', found: seconds(result.restoreMs) },
    { what: 'start of Security', found: seconds(result.startMs) },
    { what: 'first device served, since the fire', found: seconds(result.servedMs) },
    { what: 'all devices served, since the fire', found: seconds(result.allMs) },
    limited(`RTO: in all${installMs === undefined ? ', without the install' : ''}`, inAll, promised.back),
    {
      what: 'sign-ins of each device',
      found: logins.join(' to '),
      wanted: '1',
      ok: logins.every((count) => count === 1),
    },
    none('devices that could not come back, or had to enrol', result.enrolments),
    none('revoked devices that were served', result.revokedServed),
  ];
}

function limited(what: string, ms: number, limit: number): Row {
  return { what, found: seconds(ms), wanted: `<= ${limit} s`, ok: ms <= limit * 1_000, timed: true };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

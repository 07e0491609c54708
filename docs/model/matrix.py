#!/usr/bin/env python3
"""Runs many scenarios of a model and writes one line each to results/MODEL.tsv: flags, seconds, result of every query in order."""
import sys, os, itertools, pathlib
from run import run, HERE

def short(text):
    out = []
    for line in text.splitlines():
        if line.startswith('RESULT'):
            if line.startswith('RESULT (but'): out[-1] += ' (not injective: yes)' if 'is true' in line else ''
            elif 'is true' in line: out.append('yes')
            elif 'is false' in line: out.append('NO')
            elif 'cannot be proved' in line: out.append('?')
            else: out.append('-')
    if 'TIMEOUT' in text: out.append('timeout')
    if 'rror:' in text: out.append('ERROR')
    return out

def scenarios(text):
    """One a line; `-` is the model as it stands."""
    return [tuple(line.replace('-', '').split()) for line in text.strip().split('\n')]

SCENARIOS = {
    'session.pv.in': scenarios("""
NOPW
RS0 DS0 HK0 NOPW
DS0 HK0 SK0
RS0 SK0 NOPW
RS1 DS1 HK1 SK1
DLOG
KEMBREAK
SHAREDKEYS
TWOREALMS
TWOREALMS NOREALM
OLDKEY RS0
OLDKEY RS0 FALLBACK
OLDKEY GRACE DS0 HK0
SANITY
HIDEDS
HIDEDS RS1 SK1 HK1
HIDEDS RS0
"""),
    'channel.pv.in': scenarios("""
-
NOCOUNTER
REAUTH
ONLY Q1 Q2 S1
ONLY Q1 Q2 CK1
ONLY Q1 Q2 S1 CK1
ONLY Q1 Q2 Q3 DLOG
ONLY Q1 DLOG CK1
ONLY Q1 DLOG S1
ONLY Q1 EVILSAME
ONLY Q3 EVILSAME
ONLY Q4 EVILSAME
ONLY Q1 S0
ONLY Q5 S0
ONLY Q7 S0
"""),
    'enrol.pv.in': scenarios("""
-
RS0
CODE0
PW0
CODE0 PW0
DLOG
DLOG0
OIDCBIND
LINK0
RS1 DS1 HK1 CODE1
ZEROPSK
ZEROPSK RS0
SANITY
"""),
}

if __name__ == '__main__':
    model = sys.argv[1]
    wanted = [tuple(a.split('+')) for a in sys.argv[2:]] or SCENARIOS[model]
    limit = int(os.environ.get('LIMIT', '240'))
    (HERE / 'results').mkdir(exist_ok=True)
    name = model.split('.')[0]
    for flags in wanted:
        text, s = run(model, [f for f in flags if f], limit)
        line = f"{'+'.join(flags) or '-'}\t{s:.0f}\t" + '\t'.join(short(text))
        with open(HERE / 'results' / f'{name}.tsv', 'a') as f: f.write(line + '\n')
        if os.environ.get('KEEP'): (pathlib.Path(os.environ['KEEP']) / f"{name}-{'_'.join(flags) or 'none'}.txt").write_text(text)
        print(line, flush=True)

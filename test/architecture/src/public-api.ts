import { join } from 'node:path';
import {
  isClassDeclaration,
  isComputedPropertyName,
  isConstructorDeclaration,
  isIdentifier,
  isIndexSignatureDeclaration,
  isInterfaceDeclaration,
  isPrivateIdentifier,
  isQualifiedName,
  isTypeAliasDeclaration,
  isTypeLiteralNode,
  isTypeQueryNode,
  isTypeReferenceNode,
  type JSDoc,
  type Node,
  SyntaxKind,
} from 'typescript/unstable/ast';
import {
  API,
  type Checker,
  type Project,
  SymbolFlags,
  type Symbol as TypeScriptSymbol,
} from 'typescript/unstable/sync';

/** A package whose entries are looked at. */
export interface PublicPackage {
  /** Folder with its tsconfig.json. */
  readonly folder: string;
  /** Its entries, from that folder. */
  readonly entries: readonly string[];
}

/** A name that a package exports, and where it stands. */
interface Exported {
  readonly symbol: TypeScriptSymbol;
  readonly declarations: readonly Node[];
}

/**
 * What somebody who uses the packages misses, in words: exported names and public members without a doc comment, and types that
 * exported declarations use and that no entry of any of the packages exports.
 */
export function missingOf(packages: readonly PublicPackage[]): string[] {
  const api = new API();
  try {
    const configs = packages.map(({ folder }) => join(folder, 'tsconfig.json'));
    const snapshot = api.updateSnapshot({ openProjects: configs });
    const read = packages.map(({ folder, entries }, i) => {
      const project = snapshot.getProject(configs[i]!)!;
      return { project, exports: entries.flatMap((entry) => exportsOf(project, join(folder, entry))) };
    });
    const known = new Set(
      read.flatMap(({ exports }) => exports.flatMap(({ declarations }) => declarations.map(placeOf))),
    );
    const folders = packages.map(({ folder }) => `${folder}/`);
    const missing = read.flatMap(({ project, exports }) =>
      exports.flatMap((exported) => [
        ...undocumented(exported, project.checker),
        ...unexported(
          exported,
          project,
          (place) => folders.some((folder) => place.startsWith(folder)) && !known.has(place),
        ),
      ]),
    );
    return [...new Set(missing)];
  } finally {
    api.close();
  }
}

function exportsOf(project: Project, file: string): Exported[] {
  const { checker, program } = project;
  const entry = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
  return checker.getExportsOfModule(entry).map((name) => {
    const symbol = targetOf(name, checker);
    return { symbol, declarations: symbol.declarations.map((declaration) => declaration.resolve(project)!) };
  });
}

/** What a name stands for, behind all imports and exports. */
function targetOf(symbol: TypeScriptSymbol, checker: Checker): TypeScriptSymbol {
  return symbol.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

/** File and place in it, the same in every project. */
function placeOf(node: Node): string {
  return `${node.getSourceFile().fileName}:${node.pos}`;
}

function undocumented({ symbol, declarations }: Exported, checker: Checker): string[] {
  const own = symbol.getDocumentationComment(checker) === '' ? [symbol.name] : [];
  return [
    ...own,
    ...declarations
      .flatMap(membersOf)
      .filter(isBare)
      .map((member) => `${symbol.name}.${nameOf(member)}`),
  ];
}

/** The members that users see of a class, an interface or an object type, and of the object types in those. */
function membersOf(node: Node): Node[] {
  if (isTypeAliasDeclaration(node)) return literalsIn(node.type).flatMap(membersOf);
  const holds = isClassDeclaration(node) || isInterfaceDeclaration(node) || isTypeLiteralNode(node);
  if (!holds) return [];
  return (node.members as readonly Node[]).filter(isPublic).flatMap((member) => {
    const { type } = member as { type?: Node };
    const inner = type && !isClassDeclaration(node) ? literalsIn(type).flatMap(membersOf) : [];
    return [member, ...inner];
  });
}

/** Object types that are written out in a type, but not in the parameters of a function. */
function literalsIn(type: Node): Node[] {
  if (isTypeLiteralNode(type)) return [type];
  if (type.kind === SyntaxKind.FunctionType) return [];
  const found: Node[] = [];
  type.forEachChild((child) => void found.push(...literalsIn(child)));
  return found;
}

/** Private ones, and those that cannot be named: the mark of an opaque type, any name at all. */
function isPublic(member: Node): boolean {
  const { name, modifiers = [] } = member as { name?: Node; modifiers?: readonly Node[] };
  if (isIndexSignatureDeclaration(member) || (name && (isPrivateIdentifier(name) || isComputedPropertyName(name))))
    return false;
  if (isConstructorDeclaration(member) && member.parameters.length === 0) return false;
  return !modifiers.some(({ kind }) => kind === SyntaxKind.PrivateKeyword);
}

/** True without a sentence; tags alone do not say what it is. */
function isBare(member: Node): boolean {
  return !(member.jsDoc ?? []).some((doc) => ((doc as JSDoc).comment ?? []).length > 0);
}

function nameOf(member: Node): string {
  if (isConstructorDeclaration(member)) return 'constructor';
  return (member as { name?: Node }).name?.getText() ?? member.getText().slice(0, 40);
}

function unexported(
  { symbol, declarations }: Exported,
  project: Project,
  isHidden: (place: string) => boolean,
): string[] {
  return declarations.flatMap(usedNames).flatMap((name) => {
    const used = project.checker.getSymbolAtLocation(name);
    if (!used) return [];
    const target = targetOf(used, project.checker);
    if (target.flags & SymbolFlags.TypeParameter) return [];
    const places = target.declarations.map((declaration) => placeOf(declaration.resolve(project)!));
    return places.some(isHidden) ? [`${symbol.name} uses ${target.name}, which is not exported`] : [];
  });
}

/** Names of types in what users see of a declaration: no bodies, no initial values, nothing private. */
function usedNames(node: Node): Node[] {
  if (isTypeReferenceNode(node)) return [node.typeName, ...children(node).flatMap(usedNames)];
  if (isTypeQueryNode(node)) return [firstOf(node.exprName)];
  if (isClassDeclaration(node))
    return [...(node.heritageClauses ?? []), ...node.members.filter(isPublic)].flatMap(usedNames);
  if (node.kind === SyntaxKind.ExpressionWithTypeArguments)
    return children(node).flatMap((child) => (isIdentifier(child) ? [child] : usedNames(child)));
  const { body, initializer } = node as { body?: Node; initializer?: Node };
  return children(node)
    .filter((child) => child !== body && child !== initializer)
    .flatMap(usedNames);
}

/** `a` of `a.b.c`. */
function firstOf(name: Node): Node {
  return isQualifiedName(name) ? firstOf(name.left) : name;
}

function children(node: Node): Node[] {
  const found: Node[] = [];
  node.forEachChild((child) => void found.push(child));
  return found;
}

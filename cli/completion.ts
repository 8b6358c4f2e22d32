// Completion: the scripts for bash, zsh and kubectl, and the answers that they ask this program for.
import type { Command } from 'commander'

/** The answer to `__complete`: lines, and what the shell does with file names, in the numbers that kubectl's scripts know. */
export interface Suggestions {
  readonly words: readonly string[]
  readonly files: boolean
}

/** kubectl reads these of a plugin's completion: 4 is "no file names", 0 the shell's default. */
export const renderSuggestions = ({ words, files }: Suggestions): string =>
  [...words, files ? ':0' : ':4', ''].join('\n')

/** What can be asked of the cluster while completing. */
export interface Known {
  modelDeployments(namespace: string | undefined): Promise<readonly string[]>
  namespaces(): Promise<readonly string[]>
}

/** @param words the command line after the program's name; the last word is the one being written, perhaps empty */
export const suggest = async (program: Command, words: readonly string[], known: Known): Promise<Suggestions> => {
  const current = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const fitting = (candidates: readonly string[], files = false): Suggestions => ({
    words: candidates.filter((word) => word.startsWith(current)),
    files,
  })
  const command = program.commands.find((c) => c.name() === before[0])
  if (command === undefined) return fitting(shown(program).map((c) => c.name()))
  const last = before.at(-1) ?? ''
  const option = command.options.find((o) => (o.long === last || o.short === last) && !o.isBoolean())
  if (option?.long === '--namespace') return fitting(await known.namespaces())
  if (option?.long === '--filename' || option?.long === '--kubeconfig') return fitting([], true)
  if (option !== undefined) return fitting([])
  if (current.startsWith('-')) return fitting(command.options.flatMap((o) => o.long ?? []))
  const [argument] = command.registeredArguments
  if (argument === undefined || positional(command, before) > 0) return fitting([])
  if (argument.argChoices !== undefined) return fitting(argument.argChoices)
  return fitting(await known.modelDeployments(namespaceOf(before)))
}

const shown = (program: Command): readonly Command[] => program.commands.filter((c) => !c.name().startsWith('_'))

/** Words before the current one that are neither flags nor their values. */
const positional = (command: Command, before: readonly string[]): number => {
  let count = 0
  for (let i = 1; i < before.length; i += 1) {
    const word = before[i] ?? ''
    const option = command.options.find((o) => o.long === word || o.short === word)
    if (option !== undefined && !option.isBoolean()) i += 1
    else if (!word.startsWith('-')) count += 1
  }
  return count
}

const namespaceOf = (before: readonly string[]): string | undefined => {
  const at = before.findLastIndex((word) => word === '-n' || word === '--namespace')
  return at === -1 ? before.findLast((w) => w.startsWith('--namespace='))?.slice('--namespace='.length) : before[at + 1]
}

export const shells = ['bash', 'zsh', 'kubectl'] as const
export type Shell = (typeof shells)[number]

/** The script for one shell; `kubectl` is the program kubectl_complete-slipway, which kubectl asks for our words. */
export const scriptFor = (shell: Shell): string => scripts[shell]

const scripts: Readonly<Record<Shell, string>> = {
  bash: `# bash completion of kubectl-slipway
_kubectl_slipway() {
  local lines
  lines=$(kubectl-slipway __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
  local directive=\${lines##*:}
  lines=\${lines%:*}
  mapfile -t COMPREPLY < <(compgen -W "$lines" -- "\${COMP_WORDS[COMP_CWORD]}")
  if [ "$directive" = 0 ] && [ \${#COMPREPLY[@]} -eq 0 ]; then compopt -o default; fi
}
complete -F _kubectl_slipway kubectl-slipway
`,
  zsh: `#compdef kubectl-slipway
# zsh completion of kubectl-slipway
_kubectl_slipway() {
  local -a lines
  lines=("\${(@f)$(kubectl-slipway __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  local directive=\${lines[-1]}
  lines=("\${(@)lines[1,-2]}")
  lines=("\${(@)lines:#}")
  if (( \${#lines} )); then compadd -a lines; elif [ "$directive" = ":0" ]; then _files; fi
}
compdef _kubectl_slipway kubectl-slipway
`,
  kubectl: `#!/bin/sh
# kubectl asks this program for the words of "kubectl slipway". Put it into PATH as kubectl_complete-slipway.
exec kubectl-slipway __complete "$@"
`,
}

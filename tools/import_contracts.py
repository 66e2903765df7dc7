"""A kind of import contract for `lint-imports`: packages that import the standard library and named packages alone.

Import Linter's own contracts forbid packages by name; here every name is forbidden but those that are allowed, so that
a new dependency cannot reach a device unseen.
"""

from __future__ import annotations

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedPackages(Contract):
    """Contract: modules of some packages import, of packages outside of this project, only those that are allowed.

    Imports within functions and for type checkers count, too; the standard library is always allowed.

    Attributes:
        type_name: The contract's `type` in pyproject.toml.
        source_modules: The packages.
        allowed_packages: What they may import.
        allowed_imports: Single imports that are allowed besides, `importer -> package`.
    """

    type_name = "allowed_packages"

    source_modules: Any = fields.SetField(subfield=fields.ModuleField())
    allowed_packages: Any = fields.SetField(subfield=fields.StringField())
    allowed_imports: Any = fields.SetField(subfield=fields.StringField(), required=False, default=frozenset())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Looks at every import of a package outside of this project.

        Args:
            graph: All imports, those of other packages included.
            verbose: Not used.
        """
        allowed = {*self.allowed_packages, *sys.stdlib_module_names}
        refused = []
        for source in self.source_modules:
            for importer in (source.name, *graph.find_descendants(source.name)):
                for imported in graph.find_modules_directly_imported_by(importer):
                    outside = graph.is_module_squashed(imported) and imported.partition(".")[0] not in allowed
                    if outside and f"{importer} -> {imported}" not in self.allowed_imports:
                        details = graph.get_import_details(importer=importer, imported=imported)
                        refused.append((importer, imported, [each["line_number"] for each in details]))
        return ContractCheck(kept=not refused, metadata={"refused": sorted(refused)})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Prints the imports that are not allowed.

        Args:
            check: What `check` returned.
        """
        for importer, imported, lines in check.metadata["refused"]:
            places = ", ".join(f"l.{line}" for line in lines)
            output.print_error(f"{importer} is not allowed to import {imported} ({places})", bold=False)

"""The panel: a web page on this machine that starts, shows and controls a run. See docs/panel.md.

page -> server -> Desk -> the run's control socket      the run's tap -> Feed -> server -> page
"""

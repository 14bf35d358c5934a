"""A web demo of a model: classify, search, compare. ``mmstan demo MODEL [--index FOLDER]``.

On a Hugging Face Space, ``app.py`` is::

    import mmstan
    from mmstan.demo import launch

    launch(mmstan.load('my_model'), host='0.0.0.0')
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from mmstan.apis.demo_answers import TOP, classify, compare, find, make_strip
from mmstan.apis.search import SearchIndex
from mmstan.apis.video_model import VideoModel
from mmstan.datasets.readers import BrokenVideoError

MEGABYTES = 100  # of an upload
EXAMPLES = 3  # videos of the index that a click puts in place of an upload
# A gallery's pictures are square; a film strip is as high as it is, with its line below it.
_CSS = """
#strips .grid-wrap { max-height: none; padding-top: 2.5em; }
#strips .grid-container { grid-auto-rows: auto; }
#strips .thumbnail-lg { aspect-ratio: auto; height: auto; display: block; }
#strips img { object-fit: contain; height: auto; }
#strips .caption-label { position: static; max-width: none; border: none; }
"""


def _show_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with an error of the user's as a message on the page."""
    import gradio as gr

    @wraps(function)
    def answer(*values: Any) -> Any:
        try:
            return function(*values)
        except (BrokenVideoError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    return answer


def build(model: VideoModel, index: SearchIndex | None = None) -> Any:
    """The page, a ``gradio.Blocks``; without an index it has no search."""
    gr = import_gradio()
    examples = [[name] for name in sorted(set(index.names))[:EXAMPLES]] if index else []
    with gr.Blocks(title='mmstan', analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(f'# {model.description.name}')
        with gr.Tab('Classify'), gr.Row():
            with gr.Column():
                video = gr.Video(label='Video', sources=['upload'], height=260)
                _add_examples(gr, video, examples)
                names = gr.Textbox(label='Class names of your own, one a line', lines=3)
                button = gr.Button('Classify', variant='primary')
            with gr.Column():
                outputs = [gr.Label(label='Classes', num_top_classes=TOP)]
                outputs.append(gr.Gallery(label='Frames that the model sees', columns=4))
            button.click(_show_errors(partial(classify, model)), [video, names], outputs)
        if index is not None:
            with gr.Tab('Search'):
                _add_search(gr, model, index)
        with gr.Tab('Compare'):
            with gr.Row():
                with gr.Column():
                    video = gr.Video(label='Video', sources=['upload'], height=260)
                    _add_examples(gr, video, examples)
                texts = gr.Textbox(label='Texts, one a line', lines=6)
            button = gr.Button('Compare', variant='primary')
            plot = gr.Plot(label='Texts and frames')
            button.click(_show_errors(partial(compare, model)), [video, texts], plot)
    return page


def _add_examples(gr: Any, video: Any, examples: list[list[str]]) -> None:
    if examples:
        gr.Examples(examples, video, label='or one of the index')


def _add_search(gr: Any, model: VideoModel, index: SearchIndex) -> None:
    found = gr.State([])  # paths of the videos, in the order of the strips

    def search(text: str, example: str | None) -> tuple[list[Any], list[str]]:
        hits = find(index, text, example)
        return [make_strip(model, hit) for hit in hits], [hit.name for hit in hits]

    with gr.Row():
        text = gr.Textbox(label='Text')
        example = gr.Video(label='or a video', sources=['upload'], height=160)
    button = gr.Button('Search', variant='primary')
    strips = gr.Gallery(
        label='Videos; a click plays one',
        columns=1,
        allow_preview=False,
        buttons=[],
        elem_id='strips',
    )
    player = gr.Video(label='Player', interactive=False, height=260)
    for event in (button.click, text.submit):
        event(_show_errors(search), [text, example], [strips, found])

    def play(paths: list[str], chosen: gr.SelectData) -> str:
        return paths[chosen.index]

    play.__annotations__['chosen'] = gr.SelectData  # gradio passes the event by its type
    strips.select(play, found, player)


def import_gradio() -> Any:
    """gradio, which sends no statistics; ImportError says how to install it."""
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    try:
        import gradio
    except ImportError as error:
        raise ImportError('the demo needs gradio: pip install "mmstan[demo]"') from error
    return gradio


def launch(
    model: VideoModel,
    index: SearchIndex | None = None,
    *,
    host: str = '127.0.0.1',
    port: int | None = None,
) -> None:
    """Serve the page until Ctrl-C; of the files on this machine only those of the index.

    Args:
        model: The model.
        index: Videos to search, opened with this model.
        host: Address to listen at; ``'0.0.0.0'`` is every network of this machine.
        port: Its port; by default the first free one from 7860 on.

    Raises:
        ImportError: gradio is not installed.
        OSError: The port is in use.
    """
    build(model, index).launch(
        server_name=host,
        server_port=port,
        share=False,
        ssr_mode=False,
        max_file_size=MEGABYTES * 2**20,
        allowed_paths=sorted(set(index.names)) if index is not None else [],
        footer_links=[],
        css=_CSS,
    )

